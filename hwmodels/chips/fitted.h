// A fitted number with its source.
#pragma once
#include "hwmodels/chips/gpu.h"

namespace flopcast {

struct Fitted {
  double value = 0;
  Source source = {};
};

}  // namespace flopcast
