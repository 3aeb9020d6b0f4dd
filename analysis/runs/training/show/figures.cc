#include "analysis/runs/training/show/figures.h"

#include <fmt/format.h>

#include "analysis/runs/metric_table.h"

namespace flopcast {
namespace {

std::string phase_name(const std::string& field, const std::optional<Projection>& projection) {
  const std::size_t open = field.find('['), close = field.find(']');
  std::string key = field.substr(open + 1, close - open - 1);
  for (std::size_t i = 0; projection && i < projection->phases.size(); ++i) {
    if (key == std::to_string(i)) return projection->phases[i].name;
  }
  return key;
}

}  // namespace

Figure find_figure(const std::string& field, const std::optional<Projection>& projection) {
  const std::optional<Metric> metric = describe_metric(field);
  if (!metric || metric->text == nullptr) return {field, metric_text::plain};
  if (field.find('[') == std::string::npos) return {metric->title, metric->text};
  return {fmt::format("{}, {}", metric->title, phase_name(field, projection)), metric->text};
}

}  // namespace flopcast
