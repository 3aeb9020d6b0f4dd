#include "analysis/studies/size/size_search.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "analysis/money/prices/price_book.h"
#include "analysis/render/text/format.h"
#include "scenarios/policy/export_rules.h"
#include "sim/base/diagnostic.h"

namespace flopcast {

std::vector<int> sizes_tried(int most_nodes) {
  std::vector<int> sizes;
  for (int n = 1; n <= most_nodes; n *= 2) {
    for (const int quarters : {4, 5, 6}) {
      if (n * quarters % 4 == 0 && n * quarters / 4 <= most_nodes) sizes.push_back(n * quarters / 4);
    }
  }
  return sizes;
}

FineSizes sizes_about(const std::vector<int>& sizes, std::size_t found) {
  constexpr int kMostBetween = 8;
  const int below = found > 0 ? sizes[found - 1] : 0;
  const int above = sizes[std::min(found + 1, sizes.size() - 1)];
  FineSizes out;
  while ((sizes[found] - below) / out.apart > kMostBetween) out.apart *= 2;
  std::set<int> nodes{sizes[found], above};
  for (int n = (below / out.apart + 1) * out.apart; n < above; n += out.apart) nodes.insert(n);
  out.nodes.assign(nodes.begin(), nodes.end());
  return out;
}

namespace {

/// "TPP 15,832 against 4,800, 3.3 times as much": how far a chip is from what a rule leaves free.
std::string beyond(const Margin& margin) {
  const std::string_view unit = unit_of(margin.threshold.figure);
  return fmt::format("{} {} against {}{}{}, {:.3g} times as much", short_name(margin.threshold.figure),
                     format_integer(margin.value), format_integer(margin.threshold.value), unit.empty() ? "" : " ",
                     unit, margin.value / margin.threshold.value);
}

}  // namespace

KeptFromChina kept_from_china(const std::string& gpu, const Date& day, const RuleBook& book,
                              const Libraries& libraries) {
  const ChipFigures chip = load_chip(libraries, gpu);
  const auto launch = parse_date(chip.launch_date);
  if (!launch) return {"never launched, or nobody knows when"};
  if (*launch > day) return {"launched on " + to_string(*launch)};
  if (const MakerNote* maker = book.note_of(chip.vendor)) {
    if (!maker->sold) return {maker->note};
    if (!maker->us_export) return {};
  }
  KeptFromChina open;
  for (const ExportRule& rule : book.rules()) {
    if (!rule.bites() || rule.kind == "tariff" || !rule.judges() || !rule.holds_on(day)) continue;
    const Classification verdict = classify(chip, rule, book, day);
    if (!verdict.controlled && open.why.empty())
      open.why = fmt::format("{} cannot be computed: {} unknown", rule.id, fmt::join(verdict.missing, ", "));
    if (!verdict.controlled.value_or(false)) continue;
    KeptFromChina out{fmt::format("{} ({})", verdict.outcome, rule.id)};
    if (const auto margin = verdict.decisive(); margin && margin->threshold.value > 0) {
      out.why += ": " + beyond(*margin);
      out.times_over = margin->value / margin->threshold.value;
    }
    return out;
  }
  return open;
}

std::optional<Date> last_free_day(const std::string& gpu, const Date& day, const RuleBook& book,
                                  const Libraries& libraries) {
  // What may be had changes on days on which a rule begins or ends.
  std::set<Date> days{day};
  for (const ExportRule& rule : book.rules()) {
    if (rule.in_force) days.insert(rule.in_force->plus_days(-1));
    if (rule.until) days.insert(rule.until->plus_days(-1));
  }
  for (auto at = days.upper_bound(day); at != days.begin();) {
    --at;
    if (kept_from_china(gpu, *at, book, libraries).why.empty()) return *at;
  }
  return std::nullopt;
}

std::optional<std::size_t> furthest(std::size_t sizes, std::size_t guess, bool largest,
                                    const std::function<bool(std::size_t)>& good) {
  const auto walk = [&](std::size_t from, bool up, auto visit) {
    for (std::size_t i = from; i < sizes && visit(i); up ? ++i : --i) {
    }
  };
  std::optional<std::size_t> found;
  if (!good(guess)) {
    walk(largest ? guess - 1 : guess + 1, !largest, [&](std::size_t i) {
      if (good(i)) found = i;
      return !found;
    });
    if (!found) return found;
    guess = *found;
  }
  found = guess;
  int bad = 0;
  walk(largest ? guess + 1 : guess - 1, largest, [&](std::size_t i) {
    if (good(i)) {
      found = i;
      bad = 0;
    } else {
      ++bad;
    }
    return bad < 2;
  });
  return found;
}

std::vector<std::string> nodes_to_try(const std::vector<std::string>& asked, bool for_china, const Scenario& base,
                                      const Libraries& libraries) {
  const std::vector<std::string> known = libraries.names(LibraryKind::nodes);
  for (const std::string& node : asked) {
    if (std::find(known.begin(), known.end(), node) != known.end()) continue;
    throw InputError(Diagnostic{"", 0, 0, "--nodes", node, fmt::format("some of {}", fmt::join(known, ", ")),
                                nearest_name(node, known)});
  }
  if (!asked.empty()) return asked;
  if (for_china) return known;
  return {base.cluster.node.name};
}

std::vector<std::string> chips_without_node(const Libraries& libraries) {
  std::set<std::string> held;
  for (const std::string& node : libraries.names(LibraryKind::nodes)) held.insert(libraries.node(node).gpu.name);
  std::vector<std::string> out;
  for (const std::string& gpu : libraries.names(LibraryKind::gpus))
    if (!held.contains(gpu)) out.push_back(gpu);
  return out;
}

MadeNode made_node(const std::string& gpu, const Libraries& libraries) {
  // Eight PCIe cards, a 400G NIC for each: the usual server of those that are sold without one of their own.
  const std::string server = "h100-pcie-server";
  MadeNode out;
  out.gpu = gpu;
  const std::vector<std::string> known = libraries.names(LibraryKind::nodes);
  if (std::find(known.begin(), known.end(), server) == known.end()) {
    out.name = gpu;
    out.what = fmt::format("no node of the library holds it, and there is no {} to put it into", server);
    return out;
  }
  const NodeSpec node = libraries.node(server);
  out.name = fmt::format("server of {} {}", node.gpus, gpu);
  if (!libraries.runs(gpu)) {
    out.what = "figures that a replay needs are not published";
    return out;
  }
  const GpuSpec chip = libraries.gpu(gpu);
  const bool links = chip.nvlink_bandwidth > BytesPerSecond(0);
  const BytesPerSecond rate = links ? chip.nvlink_bandwidth : chip.pcie_bandwidth;
  if (rate <= BytesPerSecond(0)) {
    out.what = "no node of the library holds it, and what joins it to others is not published";
    return out;
  }
  const std::string text = fmt::format("{:.6g} GB/s per direction", rate.value() / 1e9);
  out.sets = {"cluster.node=" + server, "cluster.node_override.gpu=" + gpu,
              "cluster.node_override.nvlink_bandwidth=" + text};
  out.what =
      fmt::format("no node of the library holds it: {} of them in {}'s place in {} are assumed, joined by {} of {}",
                  node.gpus, node.gpu.name, server, links ? "their own links" : "PCIe", text);
  return out;
}

std::optional<UsdPerSecond> price_on(const Scenario& scenario, const std::string& node, const Scenario& base,
                                     const std::optional<Date>& date, const PriceBook& prices) {
  if (node == base.cluster.node.name && base.price.stated) return base.price.gpu;
  if (!date) return std::nullopt;
  try {
    const RentQuote rent = prices.rent(scenario.cluster.node.gpu.name, scenario.price.rental, *date);
    return usd_per_hour(rent.usd_per_hour);
  } catch (const InputError&) {
    return std::nullopt;
  }
}

}  // namespace flopcast
