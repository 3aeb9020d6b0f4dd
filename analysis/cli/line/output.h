// Where commands write what they found.
#pragma once
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace flopcast {

class Command;

/// Options that write what a command found to a file; with `-` JSON and CSV go to stdout, in place of the text.
/// @param noun what is written, "report". @{
void add_json(Command& command, std::string& file, const std::string& noun = "result");
void add_csv(Command& command, std::string& file, const std::string& noun = "result");
/// @}
/// @param shows what the page has, "with the plans as pictures".
void add_page(Command& command, std::string& file, const std::string& shows = "");

/// An option that names a file to write.
struct OutputOption {
  std::string option;         ///< "--json"
  std::string path;           ///< empty: not asked for
  bool takes_stdout = true;   ///< `-` stands for stdout
  bool makes_folder = false;  ///< the file's folder is made where it is missing
};

/// @param inputs files that are read; empty names are none. @throws InputError when a path cannot be written or is an
/// input, or two options name the same file, or stdout: better before an hour of replay than after.
void check_outputs(std::span<const OutputOption> outputs, std::initializer_list<std::string_view> inputs = {});

/// As above, of a single option that takes `-`.
void check_writable(const std::string& path, const std::string& option);

/// Writes text to a file (sim/base/atomic_file.h), or to stdout for `-`.
void write_text(const std::string& path, std::string_view text);

/// The same, its folder made where it is missing.
void write_text_in_new_folder(const std::string& path, std::string_view text);

}  // namespace flopcast
