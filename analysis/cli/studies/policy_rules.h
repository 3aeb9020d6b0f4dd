// What the commands under `flopcast policy` share.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "analysis/cli/line/command.h"
#include "scenarios/policy/export_rules.h"

namespace flopcast {

/// Adds `--rules`.
void add_rules_option(Command& command, std::vector<std::string>& files);

/// Adds `--allow`, `--headroom` and `--largest-area`: what a chip may be that rules allow.
void add_design_options(Command& command, std::vector<std::string>& allowed, double& headroom, double& largest_area);

/// The rules named, or those of the day that ask for a licence for chips.
/// @throws InputError: neither is given; a rule without a formula, or of another day.
std::vector<const ExportRule*> rules_to_respect(const std::vector<std::string>& ids, const std::optional<Date>& day,
                                                const RuleBook& book);

void add_policy_answer(Command& policy);

}  // namespace flopcast
