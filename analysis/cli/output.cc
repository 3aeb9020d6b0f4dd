#include "analysis/cli/output.h"

#include <fmt/format.h>

#include <cstdio>
#include <stdexcept>

#include "sim/base/atomic_file.h"
#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

[[noreturn]] void refuse(const OutputOption& output, const std::string& remark, const std::string& expected) {
  Diagnostic diagnostic;
  diagnostic.field = output.option;
  diagnostic.found = "`" + output.path + "`" + (remark.empty() ? "" : ", " + remark);
  diagnostic.expected = expected;
  throw InputError(diagnostic);
}

void check_output(const OutputOption& output) {
  if (output.path.empty() || (output.path == "-" && output.takes_stdout)) return;
  if (output.path == "-")
    refuse(output, "", "the name of a file: only the report goes to stdout, by `--json -` or `--csv -`");
  if (const std::string obstacle = write_obstacle(output.path); !obstacle.empty())
    refuse(output, obstacle, "a file that can be written, in a folder that exists");
}

}  // namespace

void check_outputs(std::span<const OutputOption> outputs) {
  const OutputOption* to_stdout = nullptr;
  for (const OutputOption& output : outputs) {
    if (output.path != "-") continue;
    if (to_stdout != nullptr)
      refuse(output, "where " + to_stdout->option + " goes too", "one output on stdout, the others in files");
    to_stdout = &output;
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    check_output(outputs[i]);
    for (std::size_t j = 0; j < i && !outputs[i].path.empty() && outputs[i].path != "-"; ++j) {
      if (outputs[j].path.empty() || outputs[j].path == "-") continue;
      if (same_file(outputs[i].path, outputs[j].path))
        refuse(outputs[i], "where " + outputs[j].option + " goes too", "a file of its own for each");
    }
  }
}

void check_writable(const std::string& path, const std::string& option) {
  const OutputOption output{option, path};
  check_output(output);
}

void write_text(const std::string& path, std::string_view text) {
  if (path != "-") return write_file_atomically(path, text);
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    throw std::runtime_error("stdout: write failed");
}

}  // namespace flopcast
