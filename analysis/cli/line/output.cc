#include "analysis/cli/line/output.h"

#include <fmt/format.h>

#include <filesystem>

#include "analysis/cli/line/options.h"
#include "analysis/cli/terminal/standard_streams.h"
#include "analysis/render/text/format.h"
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
  const std::string obstacle =
      output.makes_folder ? write_obstacle_in_new_folder(output.path) : write_obstacle(output.path);
  if (!obstacle.empty()) {
    refuse(output, obstacle,
           output.makes_folder ? "a file that can be written" : "a file that can be written, in a folder that exists");
  }
}

}  // namespace

void add_json(Command& command, std::string& file, const std::string& noun) {
  command.option("--json", file, "Write the " + noun + " as JSON (`-`: to stdout, instead of the text)")
      .value_name("FILE");
}

void add_csv(Command& command, std::string& file, const std::string& noun) {
  command.option("--csv", file, "Write the " + noun + " as CSV (`-`: to stdout, instead of the text)")
      .value_name("FILE");
}

void add_page(Command& command, std::string& file, const std::string& shows) {
  command.option("--html", file, "Write a page" + (shows.empty() ? "" : " " + shows)).value_name("FILE");
}

void check_outputs(std::span<const OutputOption> outputs, std::initializer_list<std::string_view> inputs) {
  const OutputOption* to_stdout = nullptr;
  for (const OutputOption& output : outputs) {
    if (output.path != "-") continue;
    if (to_stdout != nullptr)
      refuse(output, "where " + to_stdout->option + " goes too", "one output on stdout, the others in files");
    to_stdout = &output;
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    check_output(outputs[i]);
    for (const std::string_view input : inputs) {
      if (outputs[i].path.empty() || outputs[i].path == "-" || input.empty() || input == "-") continue;
      if (same_file(outputs[i].path, input)) refuse(outputs[i], "which is read", "another file than the source");
    }
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

void write_text_in_new_folder(const std::string& path, std::string_view text) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (path != "-" && !folder.empty()) std::filesystem::create_directories(folder);
  write_text(path, text);
}

void write_text(const std::string& path, std::string_view text) {
  if (path == "-") return put(text);
  write_file_atomically(path, text);
  note(fmt::format("wrote {}, {}", path, format_bytes(Bytes(static_cast<double>(text.size())))));
}

}  // namespace flopcast
