// What a piece of code throws, in words: Catch2 2.x and 3.x spell their string matchers differently.
#pragma once
#include <exception>
#include <string>
#include <string_view>

namespace flopcast::test {

template <class Code>
std::string message_thrown_by(const Code& code) {
  try {
    code();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "nothing was thrown";
}

inline bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

}  // namespace flopcast::test
