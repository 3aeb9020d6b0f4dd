// Text from outside. Whatever the program shows of it (terminal, diagnostics, JSON, HTML, CSV) is UTF-8 without
// anything that steers a terminal or turns the direction of writing round.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace flopcast {

/// What stands between the characters of a text.
enum class LineEnds { refused, allowed };  ///< allowed: line feeds, carriage returns and tabs are text too

/// Where the first byte stands that is no part of a character, or of one that steers: control characters (C0, delete,
/// C1), and those that reverse or isolate the direction of writing (Unicode Bidi_Control). `npos`: the text is plain.
std::size_t first_unplain(std::string_view text, LineEnds line_ends = LineEnds::refused);

/// The text with such bytes spelt out, "\x1b"; a plain text as it is.
std::string visible(std::string_view text, LineEnds line_ends = LineEnds::refused);

/// Without blanks at either end.
inline std::string_view trimmed(std::string_view text, std::string_view blanks = " \t") {
  const std::size_t first = text.find_first_not_of(blanks);
  return first == std::string_view::npos ? std::string_view()
                                         : text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

/// At most `bytes` of the text, not cut within a character.
std::string_view cut_text(std::string_view text, std::size_t bytes);

}  // namespace flopcast
