// A training plan in the words of a framework that would run it.
#pragma once
#include <string>
#include <vector>

#include "scenarios/read/libraries/libraries.h"
#include "scenarios/resolve/scenario.h"

namespace flopcast {

struct FrameworkSettings {
  std::string text;                ///< what to paste
  std::vector<std::string> notes;  ///< what the framework has no word for
};

/// A launch command of Megatron-LM (torchrun pretrain_gpt.py ...), without data, tokenizer and learning rates.
/// @throws InputError when the scenario trains nothing.
FrameworkSettings megatron_command(const Scenario& scenario);

/// torchtitan's settings, as TOML. A model that is not the library's gets a flavor that has to be registered, with a
/// note. @throws InputError when the scenario trains nothing.
FrameworkSettings torchtitan_toml(const Scenario& scenario, const Libraries& libraries);

}  // namespace flopcast
