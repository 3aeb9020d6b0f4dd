#include <algorithm>
#include <variant>

#include "analysis/face/report_data.h"
#include "analysis/money/study/cost_metrics.h"
#include "analysis/money/study/cost_output.h"
#include "analysis/render/text/json.h"
#include "analysis/render/text/text_table.h"
#include "analysis/runs/rl/rl_report.h"
#include "analysis/runs/serving/serving_report.h"
#include "analysis/runs/training/show/text_report.h"
#include "analysis/runs/training/training_message.h"
#include "scenarios/proto/cost_report.pb.h"

namespace flopcast {

Work Report::work() const { return data_->scenario.work(); }
const ResolvedScenario& Report::scenario() const { return data_->scenario; }
std::shared_ptr<const Timeline> Report::timeline() const { return data_->timeline; }
std::shared_ptr<const Requests> Report::requests() const { return data_->requests; }

std::string Report::json() const {
  return std::visit(
      [](const auto& report) {
        auto message = to_message(report);
        message.set_program(version());
        return to_json(message);
      },
      data_->report);
}

std::string Report::text(bool colours, int width) const {
  const TextStyle style(colours, static_cast<std::size_t>(std::max(width, 60)));
  return std::visit([&](const auto& report) { return to_text(report, style); }, data_->report);
}

std::vector<Metric> metrics(const Report& report) {
  return std::visit([](const auto& found) { return metrics(found); }, report.data().report);
}

}  // namespace flopcast
