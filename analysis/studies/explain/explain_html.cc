#include <fmt/format.h>

#include <algorithm>

#include "analysis/render/chart/page.h"
#include "analysis/render/text/format.h"
#include "analysis/studies/explain/explain.h"

namespace flopcast {

std::string to_html(const Explanation& explanation, const std::string& title) {
  Page page("What a step consists of: " + title);
  WaterfallChart chart;
  chart.text = [](double seconds) { return format_time(Seconds(seconds)); };
  chart.axis = "time of a step";
  chart.steps.push_back({"a rough estimate, without any of them", explanation.bare.value(), true});
  DataTable table{{"mechanism", "adds", "leave it out by"}, {}, {Align::left, Align::right, Align::left}};
  const MechanismCost* largest = nullptr;
  for (const MechanismCost& cost : explanation.costs) {
    chart.steps.push_back({std::string(cost.mechanism->name), cost.adds.value(), false});
    table.rows.push_back(
        {std::string(cost.mechanism->name), format_time(cost.adds), "--set " + std::string(cost.mechanism->set)});
    if (largest == nullptr || cost.adds > largest->adds) largest = &cost;
  }
  chart.steps.push_back({"the step", explanation.step_time.value(), true});
  page.headline(fmt::format("A rough estimate says {}, the replay {}: {} more.", format_time(explanation.bare),
                            format_time(explanation.step_time),
                            format_percent(explanation.step_time / explanation.bare - 1, 0)));
  chart.title = largest == nullptr
                    ? "No mechanism is in force"
                    : fmt::format("{} adds most: {}", largest->mechanism->name, format_time(largest->adds));
  chart.caption = "Mechanisms are added one after the other; each bar is what it adds to those before it.";
  page.figure(drawing_of(chart));
  page.folded_table("How to leave each of them out", table);
  return page.str();
}

}  // namespace flopcast
