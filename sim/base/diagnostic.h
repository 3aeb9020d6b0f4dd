// What is wrong with a user's input. Diagnostics and the exceptions that carry them are part of the public face.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "flopcast/errors.h"

namespace flopcast {

/// The same diagnostic with a remedy.
Diagnostic with_remedy(Diagnostic diagnostic, std::string remedy);

/// The candidate with the smallest edit distance to `name` (case-insensitive); empty when none comes near.
std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace flopcast
