// What is wrong with a user's input. Diagnostics and the exceptions that carry them are part of the public face.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "flopcast/errors.h"

namespace flopcast {

/// The same diagnostic with a remedy.
Diagnostic with_remedy(Diagnostic diagnostic, std::string remedy);

/// The candidate with the smallest edit distance to `name` (case-insensitive); empty when none comes near. Never `name`
/// itself, which was refused.
std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates);

/// What may stand where one of `candidates` has to: all of them; of a long list the few that come nearest to `found`,
/// how many more there are and, where `list` says it, the command that lists them.
std::string one_of(std::string_view found, const std::vector<std::string>& candidates, std::string_view list = {});

}  // namespace flopcast
