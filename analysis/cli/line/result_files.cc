#include "analysis/cli/line/result_files.h"

namespace flopcast {

void ResultFiles::add_to(Command& command, const std::string& noun, const std::string& shows) {
  add_json(command, json, noun);
  add_csv(command, csv, noun);
  add_page(command, html, shows);
}

void ResultFiles::check(std::initializer_list<std::string_view> inputs) const {
  const OutputOption outputs[] = {{"--json", json}, {"--csv", csv}, {"--html", html, false}, {"--output", scenario}};
  check_outputs(outputs, inputs);
}

}  // namespace flopcast
