// The best plans and deployments as pages.
#include <fmt/format.h>

#include <algorithm>

#include "analysis/render/chart/page.h"
#include "analysis/render/text/format.h"
#include "analysis/studies/plan/plan_study.h"
#include "analysis/studies/plan/rl_plan.h"
#include "analysis/studies/plan/serving_plan.h"

namespace flopcast {
namespace {

constexpr std::size_t kBarsShown = 12;

/// Points that no other beats in both; less of each is better.
void mark_unbeaten(std::vector<FrontierPoint>& points) {
  for (FrontierPoint& point : points) {
    point.on_frontier = std::none_of(points.begin(), points.end(), [&](const FrontierPoint& other) {
      return other.x <= point.x && other.y <= point.y && (other.x < point.x || other.y < point.y);
    });
  }
}

DataTable plan_data(const PlanStudy& study) {
  DataTable table{
      {"", "step", "memory", "fits in draws", "MFU", "tokens per day", "plan", "what holds it back"},
      {},
      {Align::right, Align::right, Align::right, Align::right, Align::right, Align::right, Align::left, Align::left}};
  for (std::size_t i = 0; i < study.plans.size(); ++i) {
    const ReplayedPlan& plan = study.plans[i];
    table.rows.push_back({fmt::format("{}", i + 1), format_time(plan.step), format_bytes(plan.memory),
                          plan.ran ? "ran" : format_percent(plan.fits_share, 0), format_percent(plan.mfu_causal),
                          format_count(plan.tokens_per_day), plan_text(plan.screened.choice), held_back(plan.parts)});
  }
  return table;
}

Drawing plans_by_memory(const PlanStudy& study) {
  FrontierChart chart;
  chart.title =
      fmt::format("{} plans were replayed; the best takes {}", study.replayed, format_time(study.plans.front().step));
  chart.caption = "Each point is a plan; of those on the line no other is both faster and leaner. " +
                  fmt::format("A GPU offers {}.", format_bytes(study.base.cluster.node.gpu.hbm_usable()));
  chart.x_title = "memory of the fullest GPU, GB";
  chart.y_title = "step, s";
  chart.x_text = chart.y_text = [](double value) { return fmt::format("{:.4g}", value); };
  const auto point = [&](const ReplayedPlan& plan, const std::string& name) {
    chart.points.push_back(
        {name, plan.memory.value() / 1e9, plan.step.value(), false, plan_text(plan.screened.choice)});
  };
  for (std::size_t i = 0; i < study.plans.size(); ++i) point(study.plans[i], fmt::format("{}", i + 1));
  if (study.own && std::none_of(study.plans.begin(), study.plans.end(), [&](const ReplayedPlan& plan) {
        return plan.screened.choice == study.own->screened.choice;
      }))
    point(*study.own, "own");
  mark_unbeaten(chart.points);
  Drawing drawing = drawing_of(chart);
  drawing.table = plan_data(study);
  return drawing;
}

Drawing parts_of_plans(const PlanStudy& study) {
  StackedChart chart;
  chart.title = fmt::format("What holds the best back: {}", held_back(study.plans.front().parts));
  chart.caption = "The step of each plan, cut into its parts on the pipeline rank that computes most (closed form).";
  chart.axis = "step, s";
  chart.parts = {"compute", "tensor exchange", "context exchange", "tokens to experts",
                 "bubble",  "gradients",       "optimiser"};
  chart.tones = {Tone::forward, Tone::fourth, Tone::seventh,  Tone::communication,
                 Tone::bubble,  Tone::weight, Tone::optimizer};
  chart.text = [](double value) { return format_time(Seconds(value)); };
  chart.tick = [](double value) { return fmt::format("{:.3g}", value); };
  chart.rows_are = "plan";
  const auto bar = [&](const std::string& name, const ReplayedPlan& plan) {
    const StepParts& p = plan.parts;
    chart.bars.push_back({.name = name + "  " + plan_text(plan.screened.choice),
                          .parts = {p.compute.value(), p.tensor.value(), p.context.value(), p.expert.value(),
                                    p.pipeline.value(), p.data.value(), p.end.value()},
                          .remark = ""});
  };
  for (std::size_t i = 0; i < std::min(kBarsShown, study.plans.size()); ++i)
    bar(fmt::format("{}", i + 1), study.plans[i]);
  if (study.own) bar("own", *study.own);
  return drawing_of(chart);
}

DataTable unit_data(const ServingPlanStudy& study) {
  DataTable table{{"", "deployment", "GPUs", "req/s/GPU", "tok/s/GPU", "tok/s/user", "TTFT p90", "TPOT p90", "$/1K req",
                   "limited by"},
                  {},
                  {Align::right, Align::left, Align::right, Align::right, Align::right, Align::right, Align::right,
                   Align::right, Align::right, Align::left}};
  for (std::size_t i = 0; i < study.plans.size(); ++i) {
    const PlannedUnit& plan = study.plans[i];
    const CurveSample& s = plan.at_most;
    table.rows.push_back({fmt::format("{}", i + 1), unit_text(plan.unit), fmt::format("{}", plan.unit.gpus()),
                          fmt::format("{:.3g}", plan.requests_per_gpu()), fmt::format("{:.0f}", s.tokens_per_s_per_gpu),
                          fmt::format("{:.1f}", s.tokens_per_s_per_user), format_time(Seconds(s.ttft_p90)),
                          format_time(Seconds(s.tpot_p90)), thousand_requests(study, plan), plan.limited_by});
  }
  return table;
}

}  // namespace

std::string to_html(const PlanStudy& study) {
  Page page("Plans: " + study.base.title);
  page.headline(answer_text(study));
  page.paragraph(fits_note(study));
  if (const std::string own = own_text(study); !own.empty()) page.paragraph(own);
  page.heading("Plans by time and memory");
  page.figure(plans_by_memory(study));
  page.heading("What holds them back");
  page.figure(parts_of_plans(study));
  if (!study.why.empty()) {
    page.heading("Why not");
    std::vector<std::string> answers;
    for (const PlanAnswer& answer : study.why) answers.push_back(fmt::format("{}: {}.", answer.asked, answer.text));
    page.list(answers);
  }
  page.heading("How they were found");
  page.paragraph(searched_text(study));
  return page.str();
}

std::string to_html(const ServingPlanStudy& study) {
  Page page("Deployments: " + study.base.title);
  page.headline(answer_text(study));
  page.paragraph(own_text(study));
  BarChart chart;
  chart.title = fmt::format("{} serves most per GPU", unit_text(study.plans.front().unit));
  chart.caption = fmt::format("Requests per second and GPU with {} of them within {}, each bar a deployment.",
                              format_percent(study.attainment, 0), study.promised);
  chart.description = fmt::format("{} deployments, the best first.", study.plans.size());
  chart.axis = "requests/s per GPU";
  chart.tick = [](double value) { return fmt::format("{:.3g}", value); };
  for (std::size_t i = 0; i < std::min(2 * kBarsShown, study.plans.size()); ++i) {
    const PlannedUnit& plan = study.plans[i];
    const bool own = study.own && plan.unit == *study.own;
    ChartRow row;
    row.label = unit_text(plan.unit) + (own ? ", the scenario's own" : "");
    row.value = fmt::format("{:.3g}, {}", plan.requests_per_gpu(),
                            plan.limited_by.empty() ? "unlimited" : "limited by " + plan.limited_by);
    row.segments = {{0, plan.requests_per_gpu(), own ? Tone::second : Tone::first, ""}};
    chart.rows.push_back(std::move(row));
  }
  chart.table = unit_data(study);
  page.heading("Deployments");
  page.figure(drawing_of(chart));
  if (!study.left_out.empty()) {
    DataTable out{{"deployment", "why"}, {}, {Align::left, Align::left}};
    for (const ShapeLeftOut& one : study.left_out) out.rows.push_back({unit_text(one.unit), one.why});
    page.folded_table(fmt::format("Left out ({})", study.left_out.size()), out);
  }
  return page.str();
}

std::string to_html(const LoopPlanStudy& study) {
  Page page("Layouts: " + study.base.title);
  page.headline(answer_text(study));
  page.paragraph(own_text(study));
  StackedChart chart;
  chart.title =
      fmt::format("The best of {} layouts takes {} a step", study.plans.size(), format_time(study.plans.front().step));
  chart.caption = "The step of each layout as the trainer sees it; answers count where training does not hide them.";
  chart.axis = "step, s";
  chart.parts = {"waiting for answers", "training", "new weights", "other"};
  chart.tones = {Tone::second, Tone::first, Tone::communication, Tone::bubble};
  chart.text = [](double value) { return format_time(Seconds(value)); };
  chart.tick = [](double value) { return fmt::format("{:.3g}", value); };
  chart.rows_are = "layout";
  for (std::size_t i = 0; i < std::min(2 * kBarsShown, study.plans.size()); ++i) {
    const PlannedLoop& plan = study.plans[i];
    const Seconds known = plan.waits_for_answers + plan.training + plan.sync;
    const bool own = study.own && plan.choice == *study.own;
    chart.bars.push_back({.name = loop_text(plan.choice) + (own ? ", the scenario's own" : ""),
                          .parts = {plan.waits_for_answers.value(), plan.training.value(), plan.sync.value(),
                                    std::max(Seconds(0), plan.step - known).value()},
                          .remark = fmt::format("{:.4g} tok/s/GPU", plan.tokens_per_s_per_gpu())});
  }
  page.heading("Layouts");
  page.figure(drawing_of(chart));
  if (!study.left_out.empty()) {
    DataTable out{{"layout", "why"}, {}, {Align::left, Align::left}};
    for (const LoopLeftOut& one : study.left_out) out.rows.push_back({loop_text(one.choice), one.why});
    page.folded_table(fmt::format("Left out ({})", study.left_out.size()), out);
  }
  return page.str();
}

}  // namespace flopcast
