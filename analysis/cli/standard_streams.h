// stdin, stdout and stderr: what may be wrong with them is found out and said.
#pragma once
#include <string_view>

namespace flopcast {

/// First of all in main(). A standard descriptor that is closed is occupied, so that no file of ours takes its number
/// and gets what was meant for the stream; using it then fails. A pipe whose reader has gone is an error like others.
void hold_standard_streams();

/// Text to stdout. What fails is remembered, and told by close_standard_streams(): files that were asked for beside are
/// written all the same.
void show(std::string_view text);

/// A line to stderr. Never throws: it may be about to tell what has been thrown.
/// Whatever would steer a terminal is spelt out.
void tell(std::string_view line) noexcept;

/// The same of our own text, which may have colours.
void tell_styled(std::string_view line) noexcept;

/// Last of all in main(): writes out what is still buffered, and says so on stderr when stdout did not take everything.
/// @return `code`, or kExitInternal instead of 0 when something was lost.
int close_standard_streams(int code);

}  // namespace flopcast
