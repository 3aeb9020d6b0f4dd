// What searches over clusters share: sizes that are tried, how they are walked, chips that may be had and their rents.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "analysis/money/prices/price_book.h"
#include "scenarios/policy/export_rules.h"
#include "scenarios/read/libraries/libraries.h"
#include "scenarios/read/text/date.h"
#include "scenarios/resolve/scenario.h"

namespace flopcast {

/// Sizes of a cluster that are tried, in nodes: 1, 2, 3, 4, 5, 6, 8, 10, 12, 16, ... Degrees of a plan divide powers of
/// two, and batches are multiples of 3 and 5 as often as not.
std::vector<int> sizes_tried(int most_nodes);

/// Sizes about one of `sizes`: what lies between its neighbours, in steps of `apart` nodes: every size where there are
/// few.
struct FineSizes {
  std::vector<int> nodes;  ///< above sizes[found - 1], up to sizes[found + 1]; ascending
  int apart = 1;
};
FineSizes sizes_about(const std::vector<int>& sizes, std::size_t found);

/// Why a chip cannot be had in China on a day; empty: it can.
struct KeptFromChina {
  std::string why;        ///< empty: nothing keeps it
  double times_over = 0;  ///< of the bound that decides; 0: none does
};
KeptFromChina kept_from_china(const std::string& gpu, const Date& day, const RuleBook& book,
                              const Libraries& libraries);

/// The smallest size that is good, or the largest, sought from a guess. What is good is so from some size on, but for
/// sizes into which a batch divides badly: two bad ones in a row end the search.
std::optional<std::size_t> furthest(std::size_t sizes, std::size_t guess, bool largest,
                                    const std::function<bool(std::size_t)>& good);

/// The last day up to `day` on which a chip could be had in China; none: it was never so.
std::optional<Date> last_free_day(const std::string& gpu, const Date& day, const RuleBook& book,
                                  const Libraries& libraries);

/// Kinds of nodes: those asked for, or the scenario's own, or all where rules decide. @throws InputError for unknown
/// ones.
std::vector<std::string> nodes_to_try(const std::vector<std::string>& asked, bool for_china, const Scenario& base,
                                      const Libraries& libraries);

/// A chip that no node of the library holds, in a node that is made for it.
struct MadeNode {
  std::string name;  ///< "server of 8 l20"
  std::string gpu;
  std::vector<std::string> sets;  ///< that make it; empty: it cannot be made
  std::string what;               ///< that is assumed, or why it cannot be
};
/// Eight of a chip in a usual server, joined by what the chip has: its own links, or PCIe.
MadeNode made_node(const std::string& gpu, const Libraries& libraries);
/// Chips that no node of the library holds.
std::vector<std::string> chips_without_node(const Libraries& libraries);

/// Of a GPU on such nodes: the scenario's own price, or what the price book knows of the day.
std::optional<UsdPerSecond> price_on(const Scenario& scenario, const std::string& node, const Scenario& base,
                                     const std::optional<Date>& date, const PriceBook& prices);

}  // namespace flopcast
