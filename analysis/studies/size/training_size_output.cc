// The answer to "how large a cluster?" as text, table, JSON and page.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "analysis/render/chart/page.h"
#include "analysis/render/text/csv.h"
#include "analysis/render/text/format.h"
#include "analysis/render/text/json.h"
#include "analysis/studies/size/training_size.h"
#include "scenarios/proto/plan_report.pb.h"
#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

std::string money_of(const TrainingCluster& cluster) {
  return cluster.usd ? format_usd(Usd(*cluster.usd)) : "no rent known";
}

/// Runs of hours are told apart too.
std::string days_text(double days) { return days < 10 ? fmt::format("{:.3g}", days) : fmt::format("{:.1f}", days); }

std::string asked_for(const TrainingSizeOptions& options) {
  std::vector<std::string> parts;
  if (options.deadline) parts.push_back(fmt::format("at most {}", format_days(*options.deadline)));
  if (options.budget) parts.push_back(fmt::format("at most {}", format_usd(*options.budget)));
  if (options.for_china) parts.push_back("chips that may be sold to China");
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string work_of(const TrainingSize& size) {
  if (size.steps > 0) return fmt::format("{} steps", format_integer(size.steps));
  return fmt::format("{} tokens", format_count(size.tokens));
}

/// What would have to change for a cluster that does not do.
std::string shortfall(const TrainingCluster& cluster, const TrainingSizeOptions& options) {
  std::vector<std::string> parts;
  if (!cluster.in_time) {
    parts.push_back(days_text(cluster.days - in_days(*options.deadline)) + " days more");
  }
  if (!cluster.in_budget && !cluster.usd) parts.push_back("a price for its GPU-hour");
  if (!cluster.in_budget && cluster.usd) {
    const double over = *cluster.usd - options.budget->value();
    parts.push_back(fmt::format("{} more, or ${:.2f} a GPU-hour", format_usd(Usd(over)),
                                options.budget->value() / cluster.gpu_hours));
  }
  return fmt::format("{}", fmt::join(parts, " and "));
}

/// "24.9 (22.1 to 33.0)"
std::string days_cell(const TrainingCluster& cluster) {
  const std::string days = days_text(cluster.days);
  if (!cluster.days_range) return days;
  return fmt::format("{} ({} to {})", days, days_text(cluster.days_range->p5), days_text(cluster.days_range->p95));
}

std::vector<std::string> cells_of(const TrainingCluster& cluster, const std::string& last) {
  return {cluster.text(),
          format_integer(cluster.gpus),
          days_cell(cluster),
          cluster.odds ? format_percent(*cluster.odds, 0) : "",
          money_of(cluster),
          format_time(cluster.step),
          last};
}

const std::vector<Align> kColumns{Align::left,  Align::right, Align::right, Align::right,
                                  Align::right, Align::right, Align::left};
std::vector<std::string> header(const std::string& last) {
  return {"cluster", "GPUs", "days", "odds", "cost", "step", last};
}

/// What brackets and odds are; empty: nothing has any.
std::string ranges_note(const TrainingSize& size, const TrainingSizeOptions& options) {
  const auto ranged = [](const TrainingCluster& c) { return c.days_range.has_value(); };
  if (std::none_of(size.met.begin(), size.met.end(), ranged) &&
      std::none_of(size.not_met.begin(), size.not_met.end(), ranged))
    return "";
  const char* kept = !options.budget     ? "being in time"
                     : !options.deadline ? "staying within the budget"
                                         : "being in time and within the budget";
  return fmt::format(
      "Days: as predicted, and nine cases in ten, for what steps may be off by{}; dollars go with them. Odds: of {}. A "
      "size is in time by its prediction: for better odds ask for fewer days.",
      size.steps > 0 ? "" : " and what runs lose", kept);
}

/// "18 to 29, 32, 40 to 64 by 8"
std::string sizes_text(const std::vector<int>& nodes) {
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < nodes.size();) {
    std::size_t end = i + 1;
    while (end + 1 < nodes.size() && nodes[end + 1] - nodes[end] == nodes[i + 1] - nodes[i]) ++end;
    if (end >= i + 2 && end < nodes.size()) {
      const int apart = nodes[i + 1] - nodes[i];
      parts.push_back(fmt::format("{} to {}{}", format_integer(nodes[i]), format_integer(nodes[end]),
                                  apart > 1 ? fmt::format(" by {}", apart) : ""));
      i = end + 1;
    } else {
      parts.push_back(format_integer(nodes[i++]));
    }
  }
  if (parts.size() < 2) return fmt::format("{}", fmt::join(parts, ""));
  const std::string last = parts.back();
  parts.pop_back();
  return fmt::format("{} and {}", fmt::join(parts, ", "), last);
}

std::string looked_at_text(const SizesLookedAt& looked) {
  return fmt::format("Looked at of {}: {} node{}.", looked.node, sizes_text(looked.nodes),
                     looked.nodes.size() == 1 && looked.nodes.front() == 1 ? "" : "s");
}

std::string last_cell(const TrainingCluster& cluster, const TrainingSizeOptions& options, bool met) {
  std::string last = met ? cluster.best() : shortfall(cluster, options);
  if (!cluster.precision_note.empty()) last += fmt::format(" ({})", cluster.precision_note);
  if (met && !cluster.replayed) last += " [closed form, without interruptions]";
  if (cluster.fits && *cluster.fits < kSurelyFits)
    last += fmt::format(" [fits in {} of the draws]", format_percent(*cluster.fits, 0));
  return last;
}

/// In which an axis of prices is written, so that its figures are neither long nor all below one.
struct PriceUnit {
  double usd = 1;
  const char* name = "US dollars";
};
PriceUnit price_unit(const std::vector<TrainingCluster>& clusters) {
  double most = 0;
  for (const TrainingCluster& c : clusters) most = std::max(most, c.usd.value_or(0));
  if (most >= 1e6) return {1e6, "million US dollars"};
  if (most >= 1e4) return {1e3, "thousand US dollars"};
  return {};
}

/// Every cluster that was tried: days against dollars, or against GPUs where no rent is known.
void add_picture(const TrainingSize& size, const TrainingSizeOptions& options, Page& page) {
  const bool priced =
      std::any_of(size.tried.begin(), size.tried.end(), [](const TrainingCluster& c) { return c.usd.has_value(); });
  const PriceUnit unit = price_unit(size.tried);
  std::map<std::string, ChartLine> by_node;
  DataTable table{{"cluster", "GPUs", "days", "cost", "step"},
                  {},
                  {Align::left, Align::right, Align::right, Align::right, Align::right}};
  for (const TrainingCluster& c : size.tried) {
    table.rows.push_back({c.text(), format_integer(c.gpus), days_text(c.days), money_of(c), format_time(c.step)});
    if (priced && !c.usd) continue;
    ChartLine& line = by_node[c.node];
    line.name = c.node;
    line.marks = true;
    const std::string label = c.text();
    line.points.push_back({c.days,
                           priced ? *c.usd / unit.usd : c.gpus,
                           label + ", " + c.best(),
                           c.in_time && c.in_budget,
                           format_integer(c.gpus),
                           {}});
  }
  LineChart chart;
  for (auto& [node, line] : by_node) chart.lines.push_back(std::move(line));
  if (chart.lines.empty()) return;
  std::size_t looked = 0;
  for (const SizesLookedAt& of_kind : size.looked_at) looked += of_kind.nodes.size();
  chart.title = fmt::format("{} clusters were tried, each with its best plan", std::max(looked, size.tried.size()));
  chart.caption =
      fmt::format("{}. Filled: {}. Labels are GPUs.",
                  size.steps > 0 ? "Whole runs, replayed"
                                 : "Those with a plan that does or nearly does: replayed, or in closed form "
                                   "without ramp and interruptions",
                  asked_for(options));
  chart.x_title = "days";
  chart.y_title = priced ? unit.name : "GPUs";
  chart.x_text = chart.y_text = [](double value) { return fmt::format("{:.4g}", value); };
  chart.x_scale = AxisScale::logarithmic;
  if (!priced) chart.y_scale = AxisScale::logarithmic;
  Drawing drawing = drawing_of(chart);
  drawing.table = table;
  page.heading("Tried");
  page.figure(drawing);
}

}  // namespace

std::string TrainingCluster::text() const {
  return fmt::format("{} x {}{}{}", nodes, node, beside.empty() ? "" : " + ", beside);
}

std::string to_text(const TrainingSize& size, const TrainingSizeOptions& options, const TextStyle& style) {
  std::string text = fmt::format("{} for {}: {}", size.base.title, work_of(size), asked_for(options));
  if (size.date) text += ", " + to_string(*size.date);
  text += "\n\n";
  const auto table = [&](const std::vector<TrainingCluster>& clusters, bool met) {
    TextTable rows(kColumns);
    rows.header(header(met ? "best plan" : "would need"));
    for (const TrainingCluster& cluster : clusters) rows.row(cells_of(cluster, last_cell(cluster, options, met)));
    text += rows.render(style) + "\n";
  };
  if (!size.met.empty()) table(size.met, true);
  // Cheapest first; days fall and dollars may as well.
  const auto fewest =
      std::min_element(size.met.begin(), size.met.end(), [](const auto& a, const auto& b) { return a.gpus < b.gpus; });
  if (fewest != size.met.begin() && fewest != size.met.end()) {
    const TrainingCluster& first = size.met.front();
    text += wrap(fmt::format("Fewest GPUs: {} ({}), {} days, {}. Cheapest: {} ({}), {}.", fewest->text(), fewest->gpus,
                             days_text(fewest->days), money_of(*fewest), first.text(), first.gpus, money_of(first)),
                 style.width(), "  ") +
            "\n";
  }
  if (!size.not_met.empty()) table(size.not_met, false);
  if (const std::string note = ranges_note(size, options); !note.empty())
    text += wrap(note, style.width(), "  ") + "\n";
  for (const TrainingCluster& cluster : size.met) {
    if (cluster.apart > 1)
      text += wrap(fmt::format("Sizes about {} x {} were tried {} nodes apart.", format_integer(cluster.nodes),
                               cluster.node, cluster.apart),
                   style.width(), "  ") +
              "\n";
  }
  for (const SizesLookedAt& looked : size.looked_at) text += wrap(looked_at_text(looked), style.width(), "  ") + "\n";
  for (const NodeMadeUp& made : size.made) text += wrap(made.node + ": " + made.what, style.width(), "  ") + "\n";
  for (const ChipLeftOut& chip : size.left_out)
    text += wrap(fmt::format("{}: {}", chip.node, chip.why), style.width(), "  ") + "\n";
  return text;
}

std::string to_csv(const TrainingSize& size) {
  std::string text = csv_line({"met", "node", "gpu", "nodes", "gpus", "days", "gpu_hours", "cost_usd", "step_s",
                               "replayed", "plan", "beside", "days_p5", "days_p95", "odds", "fits"});
  const auto known = [](const std::optional<double>& value) { return value ? shortest(*value) : std::string(); };
  const auto lines = [&](const std::vector<TrainingCluster>& clusters, const char* met) {
    for (const TrainingCluster& c : clusters) {
      text += csv_line({met, c.node, c.gpu, fmt::format("{}", c.nodes), fmt::format("{}", c.gpus), shortest(c.days),
                        shortest(c.gpu_hours), c.usd ? shortest(*c.usd) : "", shortest(c.step.value()),
                        c.replayed ? "yes" : "no", c.best(), c.beside, c.days_range ? shortest(c.days_range->p5) : "",
                        c.days_range ? shortest(c.days_range->p95) : "", known(c.odds), known(c.fits)});
    }
  };
  lines(size.met, "yes");
  lines(size.not_met, "no");
  return text;
}

report::TrainingSizeStudy to_message(const TrainingSize& size, const TrainingSizeOptions& options) {
  report::TrainingSizeStudy message;
  message.set_scenario(size.base.name);
  message.set_title(size.base.title);
  message.set_tokens(size.tokens);
  message.set_steps(size.steps);
  if (size.date) message.set_date(to_string(*size.date));
  if (options.deadline) message.set_deadline_s(options.deadline->value());
  if (options.budget) message.set_budget_usd(options.budget->value());
  message.set_for_china(options.for_china);
  const auto add = [&](const TrainingCluster& c, report::SizedCluster& entry) {
    entry.set_node(c.node);
    entry.set_gpu(c.gpu);
    entry.set_nodes(c.nodes);
    entry.set_gpus(c.gpus);
    entry.set_days(c.days);
    entry.set_gpu_hours(c.gpu_hours);
    entry.set_cost_usd(c.usd.value_or(0));
    entry.set_step_s(c.step.value());
    entry.set_replayed(c.replayed);
    entry.set_plan(c.best());
    entry.set_precision_note(c.precision_note);
    entry.set_shortfall(shortfall(c, options));
    entry.set_beside(c.beside);
    if (c.days_range) {
      entry.mutable_days_range()->set_p5(c.days_range->p5);
      entry.mutable_days_range()->set_p50(c.days_range->p50);
      entry.mutable_days_range()->set_p95(c.days_range->p95);
    }
    if (c.odds) entry.set_odds(*c.odds);
    if (c.fits) entry.set_fits_share(*c.fits);
  };
  for (const TrainingCluster& c : size.met) add(c, *message.add_met());
  for (const TrainingCluster& c : size.not_met) add(c, *message.add_not_met());
  for (const ChipLeftOut& chip : size.left_out) {
    report::NodeLeftOut& entry = *message.add_left_out();
    entry.set_node(chip.node);
    entry.set_why(chip.why);
    if (chip.free_until) entry.set_free_until(to_string(*chip.free_until));
  }
  for (const SizesLookedAt& looked : size.looked_at) {
    report::SizesLookedAt& entry = *message.add_looked_at();
    entry.set_node(looked.node);
    entry.mutable_nodes()->Add(looked.nodes.begin(), looked.nodes.end());
  }
  for (const NodeMadeUp& made : size.made) {
    report::NodeMadeUp& entry = *message.add_made();
    entry.set_node(made.node);
    entry.set_what(made.what);
  }
  return message;
}

std::string to_html(const TrainingSize& size, const TrainingSizeOptions& options) {
  Page page("Cluster for: " + size.base.title);
  page.lead(fmt::format("{}: {}{}", work_of(size), asked_for(options), size.date ? ", " + to_string(*size.date) : ""));
  if (!size.met.empty()) {
    const TrainingCluster& best = size.met.front();
    page.headline(fmt::format("{} ({} GPUs): {} days, {}{}", best.text(), format_integer(best.gpus), days_cell(best),
                              money_of(best),
                              best.odds ? fmt::format("; odds of it {}", format_percent(*best.odds, 0)) : ""));
  } else {
    page.headline("Nothing that was tried does");
  }
  const auto table = [&](const std::string& heading, const std::vector<TrainingCluster>& clusters, bool met) {
    if (clusters.empty()) return;
    page.heading(heading);
    std::vector<std::vector<std::string>> rows;
    for (const TrainingCluster& c : clusters) rows.push_back(cells_of(c, last_cell(c, options, met)));
    page.table(header(met ? "best plan" : "would need"), rows, kColumns);
  };
  table("Does", size.met, true);
  table("Does not", size.not_met, false);
  if (const std::string note = ranges_note(size, options); !note.empty()) page.note(note);
  add_picture(size, options, page);
  for (const SizesLookedAt& looked : size.looked_at) page.note(looked_at_text(looked));
  for (const NodeMadeUp& made : size.made) page.note(made.node + ": " + made.what);
  if (!size.left_out.empty()) {
    page.heading("Left out");
    std::vector<std::vector<std::string>> rows;
    for (const ChipLeftOut& chip : size.left_out) rows.push_back({chip.node, chip.why});
    page.table({"node", "why"}, rows, {Align::left, Align::left});
  }
  return page.str();
}

namespace {

/// Of the chips that a rule keeps: the three that come nearest to its bound, and those that could be had last.
std::vector<std::string> rules_to_change(const TrainingSize& size) {
  std::vector<std::string> out;
  std::vector<const ChipLeftOut*> over, free;
  for (const ChipLeftOut& chip : size.left_out) {
    if (chip.times_over >= 1) over.push_back(&chip);
    if (chip.free_until) free.push_back(&chip);
  }
  constexpr std::size_t kNamed = 3;
  const auto named = [&](std::vector<const ChipLeftOut*>& chips, auto text) {
    std::vector<std::string> words;
    for (std::size_t i = 0; i < std::min(kNamed, chips.size()); ++i) words.push_back(text(*chips[i]));
    return fmt::format("{}", fmt::join(words, ", "));
  };
  std::stable_sort(free.begin(), free.end(), [](auto* a, auto* b) { return *a->free_until > *b->free_until; });
  if (!free.empty())
    out.push_back("an earlier --date: " + named(free, [](const ChipLeftOut& chip) {
                    return fmt::format("{} was free until {}", chip.node, to_string(*chip.free_until));
                  }));
  std::stable_sort(over.begin(), over.end(), [](auto* a, auto* b) { return a->times_over < b->times_over; });
  if (!over.empty())
    out.push_back("another rule: " +
                  named(over, [](const ChipLeftOut& chip) { return fmt::format("{} ({})", chip.node, chip.why); }));
  return out;
}

}  // namespace

Diagnostic unmet(const TrainingSize& size, const TrainingSizeOptions& options) {
  Diagnostic d;
  d.file = size.base.file;
  d.field = options.deadline ? "--deadline" : "--budget";
  d.expected = asked_for(options);
  std::vector<std::string> changes;
  if (size.not_met.empty()) {
    d.found = fmt::format("no chip: {} left out", size.left_out.size());
  } else {
    // The cheapest stands first, and what is in time before what is not.
    const TrainingCluster* nearest = &size.not_met.front();
    for (const TrainingCluster& cluster : size.not_met) {
      if (nearest->in_time == cluster.in_time && (cluster.in_time || nearest->days <= cluster.days)) continue;
      if (nearest->in_time && !cluster.in_time) continue;
      nearest = &cluster;
    }
    d.found =
        fmt::format("the nearest is {}: {} days, {}", nearest->text(), days_text(nearest->days), money_of(*nearest));
    changes.push_back(shortfall(*nearest, options));
  }
  for (std::string& change : rules_to_change(size)) changes.push_back(std::move(change));
  if (size.not_met.empty()) changes.push_back("--nodes");
  d.remedy = fmt::format("{}", fmt::join(changes, "; or "));
  return d;
}

}  // namespace flopcast
