// stdin, stdout and stderr: what may be wrong with them is found out and said.
#pragma once
#include <string_view>

namespace flopcast {

/// First of all in main(). A standard descriptor that is closed is occupied, so that no file of ours takes its number
/// and gets what was meant for the stream; using it then fails. A pipe whose reader has gone is an error like others.
void hold_standard_streams();

/// How much the program says beside what it is asked for: `--quiet`, `--verbose` (options.cc sets it).
enum class Verbosity { quiet, normal, verbose };
void set_verbosity(Verbosity verbosity);
Verbosity verbosity();

/// Text to stdout. What fails is remembered, and reported by close_standard_streams(): files that were asked for beside
/// are written all the same.
void put(std::string_view text);

/// The same of a report for people, which `--quiet` leaves out.
void show(std::string_view text);

/// A line to stderr, broken into lines as wide as the terminal where it is one. Never throws: it may be about to tell
/// what has been thrown. Whatever would steer a terminal is spelt out.
void tell(std::string_view line) noexcept;

/// The same of what went wrong, where it did in the colour of errors.
void tell_fault(std::string_view line) noexcept;

/// A word beside the result, which `--quiet` leaves out.
void remark(std::string_view line) noexcept;

/// Shown with `--verbose` only.
void note(std::string_view line) noexcept;

/// The same of our own text, which may have colours.
void tell_styled(std::string_view line) noexcept;

/// Last of all in main(): writes out what is still buffered, and says so on stderr when stdout did not take everything.
/// A reader that has gone is not told of.
/// @return `code`, or instead of 0 kExitInternal when something was lost, kExitReaderGone when the reader has gone.
int close_standard_streams(int code);

}  // namespace flopcast
