#include <array>
#include <random>
#include <vector>

#include "tests/fuzz/targets.h"

namespace flopcast::fuzz {
namespace {

using Random = std::mt19937_64;

std::size_t below(Random& random, std::size_t bound) { return bound == 0 ? 0 : random() % bound; }

constexpr std::array<std::string_view, 30> kNumbers{"0",
                                                    "1",
                                                    "-1",
                                                    "2",
                                                    "3",
                                                    "7",
                                                    "0.5",
                                                    "1e-9",
                                                    "1e9",
                                                    "1e18",
                                                    "1e308",
                                                    "1e-320",
                                                    "2147483647",
                                                    "2147483648",
                                                    "4294967296",
                                                    "-2147483648",
                                                    "9223372036854775807",
                                                    "18446744073709551616",
                                                    "nan",
                                                    "inf",
                                                    "-inf",
                                                    "NaN",
                                                    "Infinity",
                                                    "0x10",
                                                    "1e999",
                                                    "00",
                                                    "1.",
                                                    ".5",
                                                    "4096",
                                                    "65536"};
constexpr std::array<std::string_view, 24> kWords{"\"\"",
                                                  "\"0 GB/s\"",
                                                  "\"1 B\"",
                                                  "true",
                                                  "false",
                                                  "null",
                                                  "{ }",
                                                  "{",
                                                  "}",
                                                  "[",
                                                  "]",
                                                  "\"",
                                                  "\\",
                                                  "#",
                                                  "\x1b[31m",
                                                  "\xff",
                                                  "\"h100-sxm\"",
                                                  "\"1e300 TB/s\"",
                                                  "\"-1 s\"",
                                                  "\"nan s\"",
                                                  "base: \"h20\"",
                                                  "\n\n",
                                                  ",",
                                                  ":"};

bool is_word(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.' ||
         c == '-' || c == '+';
}

/// A word that begins at or after a random place: first byte and length.
std::pair<std::size_t, std::size_t> some_word(std::string_view text, Random& random) {
  std::size_t begin = below(random, text.size());
  while (begin > 0 && is_word(text[begin]) && is_word(text[begin - 1])) --begin;
  while (begin < text.size() && !is_word(text[begin])) ++begin;
  std::size_t end = begin;
  while (end < text.size() && is_word(text[end])) ++end;
  return {begin, end - begin};
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.push_back(text.substr(0, end == std::string_view::npos ? end : end + 1));
    text.remove_prefix(lines.back().size());
  }
  return lines;
}

std::string change_line(std::string_view text, std::string_view other, Random& random) {
  std::vector<std::string_view> lines = lines_of(text);
  const std::vector<std::string_view> others = lines_of(other);
  const std::size_t at = below(random, lines.size());
  switch (random() % 4) {
    case 0:
      lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(at));
      break;
    case 1:
      lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(at), lines[at]);
      break;
    case 2:
      std::swap(lines[at], lines[below(random, lines.size())]);
      break;
    default:
      if (!others.empty())
        lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(at), others[below(random, others.size())]);
  }
  std::string out;
  for (const std::string_view line : lines) out += line;
  return out;
}

std::string change_once(const std::string& text, std::string_view other, Random& random) {
  if (text.empty()) return std::string(other);
  std::string out = text;
  const auto [word, length] = some_word(text, random);
  switch (random() % 6) {
    case 0:
      return out.replace(word, length, kNumbers[below(random, kNumbers.size())]);
    case 1:
      return out.replace(word, length, kWords[below(random, kWords.size())]);
    case 2: {
      const auto [from, count] = some_word(other, random);
      return out.replace(word, length, other.substr(std::min(from, other.size()), count));
    }
    case 3:
      out[below(random, out.size())] = static_cast<char>(random());
      return out;
    case 4:
      return out.erase(below(random, out.size()), 1 + below(random, 8));
    default:
      return change_line(text, other, random);
  }
}

}  // namespace

std::string mutated(std::string_view input, std::string_view other, std::uint64_t seed) {
  constexpr std::size_t kLongest = 1 << 14;
  Random random(seed);
  std::string text(input);
  for (std::uint64_t i = 0; i <= random() % 4 && text.size() < kLongest; ++i) text = change_once(text, other, random);
  return text;
}

}  // namespace flopcast::fuzz
