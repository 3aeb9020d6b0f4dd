// The best layouts of a loop as text, table and JSON.
#include <fmt/format.h>

#include "analysis/render/text/csv.h"
#include "analysis/render/text/format.h"
#include "analysis/render/text/json.h"
#include "analysis/studies/plan/rl_plan.h"
#include "scenarios/proto/plan_report.pb.h"

namespace flopcast {
namespace {

/// Layouts that text shows; CSV and JSON have all.
constexpr std::size_t kLoopsShown = 12, kLoopsLeftOutShown = 6;

}  // namespace

std::string answer_text(const LoopPlanStudy& study) {
  const PlannedLoop& best = study.plans.front();
  std::string text = fmt::format("{} on {}: a step takes {} ({:.4g} tokens per second and GPU) with {}.",
                                 study.base.title, format_integer(study.gpus()) + " GPUs", format_time(best.step),
                                 best.tokens_per_s_per_gpu(), loop_text(best.choice));
  if (best.gpu_hours > 0) {
    text += fmt::format(" {} such steps take {} GPU-hours", format_integer(study.base.rl->loop.run.steps),
                        format_count(best.gpu_hours));
    if (best.usd > 0) text += fmt::format(", {}", format_usd(Usd(best.usd)));
    text += ".";
  }
  return text;
}

std::string own_text(const LoopPlanStudy& study) {
  for (std::size_t i = 0; i < study.plans.size(); ++i) {
    const PlannedLoop& plan = study.plans[i];
    if (!(plan.choice == *study.own)) continue;
    if (i == 0) return "The scenario's own layout is the best.";
    return fmt::format("The scenario's own layout, {}, takes {}: rank {} of {}, {} slower.", loop_text(plan.choice),
                       format_time(plan.step), i + 1, study.plans.size(),
                       format_percent(plan.step / study.plans.front().step - 1));
  }
  return "The scenario's own layout does not run.";
}

std::string to_text(const LoopPlanStudy& study, const TextStyle& style) {
  std::string text = wrap(answer_text(study), style.width(), "") + "\n\n";
  TextTable table({Align::right, Align::right, Align::right, Align::right, Align::right, Align::right, Align::left});
  table.header({"", "step", "answers", "training", "tok/s/GPU", "at work", "layout"});
  for (std::size_t i = 0; i < std::min(kLoopsShown, study.plans.size()); ++i) {
    const PlannedLoop& plan = study.plans[i];
    table.row({fmt::format("{}", i + 1), format_time(plan.step), format_time(plan.waits_for_answers),
               format_time(plan.training), fmt::format("{:.4g}", plan.tokens_per_s_per_gpu()),
               format_percent(plan.busy), loop_text(plan.choice)});
  }
  text += table.render(style) + "\n" + wrap(own_text(study), style.width(), "") + "\n";
  text +=
      wrap(fmt::format("{} layouts were replayed; {} plans of the trainer were priced in closed form before. Seconds "
                       "of answers are those that training does not hide.",
                       study.plans.size() + study.left_out.size(), format_integer(study.screened)),
           style.width(), "") +
      "\n";
  if (study.left_out.empty()) return text;
  text += fmt::format("\nLeft out ({}):\n", study.left_out.size());
  for (std::size_t i = 0; i < std::min(kLoopsLeftOutShown, study.left_out.size()); ++i) {
    const LoopLeftOut& out = study.left_out[i];
    text += "  " + wrap(fmt::format("{}: {}", loop_text(out.choice), out.why), style.width() - 2, "    ") + "\n";
  }
  if (study.left_out.size() > kLoopsLeftOutShown) text += "  ...\n";
  return text;
}

std::string to_csv(const LoopPlanStudy& study) {
  std::string text = csv_line({"rank", "gpus", "trainer_gpus", "engine_gpus", "step_s", "waits_for_answers_s",
                               "training_s", "sync_s", "tokens_per_s", "tokens_per_s_per_gpu", "gpu_busy", "gpu_hours",
                               "cost_usd", "layout", "left_out_because"});
  for (std::size_t i = 0; i < study.plans.size(); ++i) {
    const PlannedLoop& p = study.plans[i];
    text += csv_line({fmt::format("{}", i + 1), fmt::format("{}", p.choice.gpus()),
                      fmt::format("{}", p.choice.trainer_gpus), fmt::format("{}", p.choice.engine_gpus),
                      shortest(p.step.value()), shortest(p.waits_for_answers.value()), shortest(p.training.value()),
                      shortest(p.sync.value()), shortest(p.tokens_per_s), shortest(p.tokens_per_s_per_gpu()),
                      shortest(p.busy), p.gpu_hours > 0 ? shortest(p.gpu_hours) : "", p.usd > 0 ? shortest(p.usd) : "",
                      loop_text(p.choice), ""});
  }
  for (const LoopLeftOut& out : study.left_out) {
    text += csv_line({"", fmt::format("{}", out.choice.gpus()), fmt::format("{}", out.choice.trainer_gpus),
                      fmt::format("{}", out.choice.engine_gpus), "", "", "", "", "", "", "", "", "",
                      loop_text(out.choice), out.why});
  }
  return text;
}

report::LoopPlanStudy to_message(const LoopPlanStudy& study) {
  report::LoopPlanStudy message;
  message.set_scenario(study.base.name);
  message.set_title(study.base.title);
  message.set_gpus(study.gpus());
  message.set_screened(study.screened);
  for (const PlannedLoop& p : study.plans) {
    report::PlannedLoop& entry = *message.add_plans();
    entry.set_layout(loop_text(p.choice));
    for (const std::string& setting : loop_settings(p.choice, study.base)) {
      const std::size_t equals = setting.find('=');
      report::PlanSetting& out = *entry.add_settings();
      out.set_field(setting.substr(0, equals));
      out.set_value(setting.substr(equals + 1));
    }
    entry.set_gpus(p.choice.gpus());
    entry.set_trainer_gpus(p.choice.trainer_gpus);
    entry.set_engine_gpus(p.choice.engine_gpus);
    entry.set_step_s(p.step.value());
    entry.set_waits_for_answers_s(p.waits_for_answers.value());
    entry.set_training_s(p.training.value());
    entry.set_sync_s(p.sync.value());
    entry.set_tokens_per_s_per_gpu(p.tokens_per_s_per_gpu());
    entry.set_gpu_busy(p.busy);
    entry.set_gpu_hours(p.gpu_hours);
    entry.set_cost_usd(p.usd);
    entry.set_own(study.own && p.choice == *study.own);
  }
  for (const LoopLeftOut& out : study.left_out) {
    report::DeploymentLeftOut& entry = *message.add_left_out();
    entry.set_deployment(loop_text(out.choice));
    entry.set_why(out.why);
  }
  return message;
}

}  // namespace flopcast
