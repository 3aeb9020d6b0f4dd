// A launch command or settings file of another framework, as a scenario.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "scenarios/imports/runs/foreign_settings.h"
#include "scenarios/read/libraries/libraries.h"

namespace flopcast {

/// What such a file does not say.
struct ImportRunOptions {
  std::string model;  ///< of the library, where the file names none or shapes none
  std::string node = "hgx-h100";
  int gpus = 0;             ///< 0: as the launcher says
  int sequence_length = 0;  ///< 0: as the file says
};

struct ImportedRun {
  std::string framework;           ///< "Megatron-LM", "vLLM", ...
  std::string text;                ///< the scenario, with what each setting became at its head
  std::vector<std::string> notes;  ///< assumptions, settings that nobody knows: for the user's eyes
  std::vector<std::pair<std::string, RunSetting>> origins;  ///< fields, and the settings they come from
};

/// @param text of a file, or a command. @param file its name, for diagnostics.
/// Nothing of it is executed; of a command that names a file of options, that file is read.
/// @throws InputError with everything that is wrong.
ImportedRun import_run(const std::string& text, const std::string& file, const Libraries& libraries,
                       const ImportRunOptions& options = {});

}  // namespace flopcast
