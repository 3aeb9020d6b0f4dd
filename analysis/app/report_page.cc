#include "analysis/app/report_page.h"

#include "analysis/money/study/cost_output.h"
#include "analysis/runs/rl/rl_html.h"
#include "analysis/runs/serving/serving_html.h"
#include "analysis/runs/training/show/training_html.h"
#include "analysis/runs/training/timeline/step_view.h"

namespace flopcast {
namespace {

class PipelineToShow final : public TimelineSink {
 public:
  PipelineToShow(const TrainingStep& step, StepShown& shown) : picture_(step), shown_(shown) {
    constexpr std::size_t kMostToEdit = 20'000;  // passes that anybody would move one by one
    if (picture_.times().blocks.size() <= kMostToEdit) shown_.order = to_text(step.schedule);
  }
  ~PipelineToShow() override { shown_.pipeline = picture_.times(); }
  void finished(const OperationGraph& graph, const OpSpan& span) override { picture_.finished(graph, span); }

 private:
  PipelinePictureSink picture_;
  StepShown& shown_;
};

class TimelineToShow final : public TimelineSink {
 public:
  TimelineToShow(const TrainingStep& step, StepShown& shown) : view_(step), shown_(shown) {}
  ~TimelineToShow() override {
    shown_.timeline = view_.view();
    shown_.gpus_left_out = view_.gpus_left_out();
  }
  void finished(const OperationGraph& graph, const OpSpan& span) override { view_.finished(graph, span); }

 private:
  StepViewSink view_;
  StepShown& shown_;
};

}  // namespace

void show_step(RunHooks& hooks, StepShown& shown, bool timeline) {
  hooks.sinks.push_back([&shown](const TrainingStep& step) { return std::make_unique<PipelineToShow>(step, shown); });
  if (!timeline) return;
  hooks.sinks.push_back([&shown](const TrainingStep& step) { return std::make_unique<TimelineToShow>(step, shown); });
}

std::string to_html(const ReportData& data, const StepShown& shown) {
  if (const auto* const served = std::get_if<ServingReport>(&data.report))
    return to_html(*served, explain_serving(*served));
  if (const auto* const step = std::get_if<TrainingReport>(&data.report))
    return to_html(*step, {&shown.pipeline, shown.timeline ? &*shown.timeline : nullptr, shown.gpus_left_out});
  if (const auto* const collective = std::get_if<CollectiveReport>(&data.report)) return to_html(*collective);
  if (const auto* const loop = std::get_if<RlReport>(&data.report)) return to_html(*loop);
  if (const auto* const cost = std::get_if<CostReport>(&data.report)) return to_html(*cost);
  return to_html(std::get<LifeReport>(data.report));
}

}  // namespace flopcast
