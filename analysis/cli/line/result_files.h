// The end of a command: what it found as text on the terminal, and as the files that were asked for.
#pragma once
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/cli/line/output.h"
#include "analysis/cli/terminal/standard_streams.h"
#include "analysis/cli/terminal/terminal.h"
#include "analysis/render/text/json.h"
#include "flopcast/environment.h"

namespace flopcast {

class Command;

/// Files that a result is written to; an empty name is one that nobody asked for.
struct ResultFiles {
  std::string json, csv, html;
  std::string scenario;  ///< --output of commands whose result is a scenario too

  /// Adds `--json`, `--csv` and `--html`. @param noun what is written, "report" @param shows what the page has
  void add_to(Command& command, const std::string& noun = "result", const std::string& shows = "");
  /// @throws InputError as check_outputs() does.
  void check(std::initializer_list<std::string_view> inputs = {}) const;
  /// Whether one of them goes to stdout, in place of the text.
  bool on_stdout() const { return json == "-" || csv == "-" || scenario == "-"; }
};

/// The text of a result, unless a file of it goes to stdout: to_text(result, style), where there is one
/// to_text(result, context..., style).
template <class Result, class... Context>
void show_result(const ResultFiles& files, const Result& result, const Context&... context) {
  if (files.on_stdout()) return;
  const TextStyle style = terminal_style(stdout);
  if constexpr (requires { to_text(result, context..., style); }) {
    show(to_text(result, context..., style));
  } else {
    show(to_text(result, style));
  }
}

/// The files of a result: to_message(), to_csv() and to_html() of it, of the context too where they take it. What a
/// result has no function for, the command has no option for.
template <class Result, class... Context>
void write_result(const ResultFiles& files, const Result& result, const Context&... context) {
  const auto write_json = [&](auto message) {
    message.set_program(version());
    write_text(files.json, to_json(message));
  };
  if (!files.json.empty()) {
    if constexpr (requires { to_message(result, context...); }) {
      write_json(to_message(result, context...));
    } else {
      write_json(to_message(result));
    }
  }
  if constexpr (requires { to_csv(result); }) {
    if (!files.csv.empty()) write_text(files.csv, to_csv(result));
  }
  if (!files.html.empty()) {
    if constexpr (requires { to_html(result, context...); }) {
      write_text(files.html, to_html(result, context...));
    } else {
      write_text(files.html, to_html(result));
    }
  }
}

/// Both.
template <class Result, class... Context>
void present(const ResultFiles& files, const Result& result, const Context&... context) {
  show_result(files, result, context...);
  write_result(files, result, context...);
}

}  // namespace flopcast
