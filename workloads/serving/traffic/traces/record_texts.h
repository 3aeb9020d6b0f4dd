// What shows in the first records of a file before they are parsed.
#pragma once
#include <cstdint>
#include <string_view>

namespace flopcast {

/// So many of the first records are looked at.
constexpr int kSampledRecords = 200;

/// "c" of "a.b.c".
std::string_view last_key(std::string_view path);
/// Whether the key stands somewhere in the text. @{
bool mentions(std::string_view text, std::string_view key);
bool mentions_any(std::string_view text, std::string_view alternatives);  ///< "a|b.c"
/// @}
/// A text of that key, where the first records have such texts and all of them are numbers; else empty.
std::string_view only_numbers(std::string_view text, std::string_view key);
/// How many ids stand in the list of that key.
std::uint64_t ids_in(std::string_view line, std::string_view key);
/// The first line of objects that is no failed request ("error"), for that has all keys; the first of all where there
/// is none.
std::string_view first_that_succeeded(std::string_view text);

}  // namespace flopcast
