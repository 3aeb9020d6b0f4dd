#include "sim/base/plain_text.h"

#include <algorithm>
#include <cstdint>

#include <fmt/format.h>

namespace flopcast {
namespace {

struct Character {
  std::size_t length = 0;  ///< bytes; 0: no UTF-8
  std::uint32_t code = 0;
};

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

/// The character that begins at `at`. Overlong forms, surrogates and what lies past U+10FFFF are none (RFC 3629).
Character character_at(std::string_view text, std::size_t at) {
  const auto first = static_cast<unsigned char>(text[at]);
  if (first < 0x80) return {1, first};
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || at + length > text.size()) return {};
  std::uint32_t code = first & (0x7fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if (!continues(text[at + i])) return {};
    code = code << 6 | (static_cast<unsigned char>(text[at + i]) & 0x3fu);
  }
  const std::uint32_t least = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000;
  const bool surrogate = code >= 0xd800 && code < 0xe000;
  if (code < least || surrogate || code > 0x10ffff) return {};
  return {length, code};
}

bool steers(std::uint32_t code, LineEnds line_ends) {
  if (code == '\n' || code == '\r' || code == '\t') return line_ends == LineEnds::refused;
  const bool control = code < 0x20 || (code >= 0x7f && code < 0xa0);
  const bool separator = code == 0x2028 || code == 0x2029;
  const bool direction = code == 0x061c || code == 0x200e || code == 0x200f || (code >= 0x202a && code <= 0x202e) ||
                         (code >= 0x2066 && code <= 0x2069);
  return control || separator || direction;
}

}  // namespace

std::size_t first_unplain(std::string_view text, LineEnds line_ends) {
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] >= ' ' && text[at] <= '~') {  // nearly all of nearly every file
      ++at;
      continue;
    }
    const Character c = character_at(text, at);
    if (c.length == 0 || steers(c.code, line_ends)) return at;
    at += c.length;
  }
  return std::string_view::npos;
}

std::string visible(std::string_view text, LineEnds line_ends) {
  std::string out;
  for (;;) {
    const std::size_t good = std::min(first_unplain(text, line_ends), text.size());
    out += text.substr(0, good);
    text.remove_prefix(good);
    if (text.empty()) return out;
    const std::size_t bad = std::max<std::size_t>(character_at(text, 0).length, 1);
    for (const char c : text.substr(0, bad)) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    text.remove_prefix(bad);
  }
}

std::string_view cut_text(std::string_view text, std::size_t bytes) {
  if (text.size() <= bytes) return text;
  std::size_t end = bytes;
  while (end > 0 && end + 3 > bytes && continues(text[end])) --end;
  return text.substr(0, end);
}

}  // namespace flopcast
