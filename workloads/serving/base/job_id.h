// The name of a request on its way through a serving session.
#pragma once
#include "sim/base/ids.h"

namespace flopcast {

using JobId = Id<struct JobTag>;

}  // namespace flopcast
