#include "analysis/cli/terminal/progress_text.h"

#include <fmt/format.h>

#include <algorithm>

namespace flopcast {

std::string progress_text(const std::string& stage, std::uint64_t done, std::uint64_t all) {
  const bool says_what = stage.substr(0, stage.find(' ')).ends_with("ing");
  std::string text = (says_what ? "" : "replaying ") + stage;
  if (all > 0)
    text += fmt::format(": {:.0f} %", 100.0 * static_cast<double>(std::min(done, all)) / static_cast<double>(all));
  return text;
}

}  // namespace flopcast
