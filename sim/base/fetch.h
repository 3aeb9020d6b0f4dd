// Memory that will be looked at soon, asked for beforehand.
#pragma once
#include <cstddef>

namespace flopcast {

/// Asks for all of an object without waiting for it. A simulation of a hundred thousand requests looks at one after the
/// other, with thousands of others in between: asked for together they come from memory together. Changes nothing.
template <class T>
void fetch(const T& object) {
  constexpr std::size_t kLine = 64;
  const char* const begin = reinterpret_cast<const char*>(&object);
  for (std::size_t at = 0; at < sizeof(T); at += kLine) __builtin_prefetch(begin + at);
}

}  // namespace flopcast
