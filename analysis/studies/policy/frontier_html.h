// The chips that rules just allow as a page: a picture of time against cost,
// and the table behind it.
#pragma once
#include <string>

#include "analysis/studies/policy/frontier.h"

namespace flopcast {

std::string to_html(const Frontier& frontier);

}  // namespace flopcast
