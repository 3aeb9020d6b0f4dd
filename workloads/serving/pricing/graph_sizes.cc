#include <charconv>

#include "workloads/serving/pricing/engine.h"

namespace flopcast {
namespace {

constexpr int kLargestGraph = 1'000'000;

/// A whole number from 1 on at the front of `text`, which is taken off.
std::optional<int> take_size(std::string_view& text) {
  int size = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
  if (error != std::errc() || size < 1 || size > kLargestGraph) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return size;
}

bool take_mark(std::string_view& text, std::string_view mark) {
  if (!text.starts_with(mark)) return false;
  text.remove_prefix(mark.size());
  return true;
}

}  // namespace

std::optional<std::vector<int>> parse_graph_sizes(std::string_view text) {
  std::vector<int> sizes;
  while (!text.empty()) {
    if (take_mark(text, " ")) continue;
    const std::optional<int> from = take_size(text);
    if (!from) return std::nullopt;
    int to = *from, step = 1;
    if (take_mark(text, "..")) {
      const std::optional<int> last = take_size(text);
      if (!last || *last < *from || !take_mark(text, "/")) return std::nullopt;
      const std::optional<int> by = take_size(text);
      if (!by) return std::nullopt;
      to = *last;
      step = *by;
    }
    if (!text.empty() && !text.starts_with(' ')) return std::nullopt;
    if (!sizes.empty() && *from <= sizes.back()) return std::nullopt;
    for (int size = *from; size <= to; size += step) sizes.push_back(size);
  }
  if (sizes.empty()) return std::nullopt;
  return sizes;
}

}  // namespace flopcast
