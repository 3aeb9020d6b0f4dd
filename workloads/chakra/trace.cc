#include "workloads/chakra/trace.h"

#include <array>

namespace flopcast {

std::uint32_t TextPool::number(std::string_view text) {
  const auto [found, fresh] = numbers_.try_emplace(std::string(text), static_cast<std::uint32_t>(texts_.size()));
  if (fresh) texts_.emplace_back(text);
  return found->second;
}

std::string_view name(CommKind kind) {
  constexpr std::array<std::string_view, 9> names{"all-reduce", "reduce",     "all-gather",     "gather", "scatter",
                                                  "broadcast",  "all-to-all", "reduce-scatter", "barrier"};
  return names[static_cast<std::size_t>(kind)];
}

std::string_view name(EtSchema schema) {
  constexpr std::array<std::string_view, 3> names{"0.0.1", "0.0.2 or 0.0.3", "0.0.4"};
  return names[static_cast<std::size_t>(schema)];
}

}  // namespace flopcast
