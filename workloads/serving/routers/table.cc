#include <algorithm>
#include <array>

#include "workloads/serving/routers/rows.h"

namespace flopcast {

std::span<const RouterRow> routers() {
  static const std::array kRows = {rows::round_robin(),  rows::least_outstanding(), rows::least_kv(),
                                   rows::prefix_aware(), rows::power_of_two(),      rows::cache_aware()};
  return kRows;
}

const RouterRow* find_router(std::string_view name) {
  const auto row = std::ranges::find(routers(), name, &RouterRow::name);
  return row == routers().end() ? nullptr : &*row;
}

}  // namespace flopcast
