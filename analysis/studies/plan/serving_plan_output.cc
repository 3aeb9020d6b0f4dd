// The best deployments as text, table and JSON.
#include <fmt/format.h>

#include <algorithm>

#include "analysis/render/text/csv.h"
#include "analysis/render/text/format.h"
#include "analysis/render/text/json.h"
#include "analysis/studies/plan/serving_plan.h"
#include "scenarios/proto/plan_report.pb.h"

namespace flopcast {
namespace {

/// Deployments that text shows; CSV and JSON have all.
constexpr std::size_t kShown = 15;
constexpr std::size_t kShownLeftOut = 8;

/// "TPOT", "TPOT, roughly"
std::string limit_of(const PlannedUnit& plan) {
  if (!plan.roughly) return plan.limited_by;
  return plan.limited_by.empty() ? "roughly" : plan.limited_by + ", roughly";
}

}  // namespace

double ServingPlanStudy::usd_per_1000_requests(const PlannedUnit& plan) const {
  const double rate = plan.at_most.requests_per_s;
  return rate > 0 ? base.price.gpu.value() * plan.unit.gpus() / rate * 1000 : 0;
}

std::string thousand_requests(const ServingPlanStudy& study, const PlannedUnit& plan) {
  const double usd = study.usd_per_1000_requests(plan);
  return usd > 0 ? fmt::format("{:.3g}", usd) : "-";
}

std::string answer_text(const ServingPlanStudy& study) {
  const PlannedUnit& best = study.plans.front();
  std::string text = fmt::format(
      "{} on {} GPUs ({}): with {} of requests within {}, most per GPU is served by {}: {:.3g} requests per second on "
      "{} "
      "GPUs",
      study.base.title, study.base.cluster.gpus(), study.base.cluster.node.gpu.name,
      format_percent(study.attainment, 0), study.promised, unit_text(best.unit), best.at_most.requests_per_s,
      best.unit.gpus());
  if (best.copies > 1)
    text += fmt::format(", {:.3g} with the {} that the cluster holds", best.copies * best.at_most.requests_per_s,
                        best.copies);
  text += ".";
  if (const auto copies = study.copies_for_traffic(best)) {
    text += fmt::format(" The {:.3g} requests per second of the traffic need {} ({} GPUs){}", *study.asked, *copies,
                        *copies * best.unit.gpus(), *copies > best.copies ? ": more than there are" : "");
    const PlannedUnit& least = study.for_traffic();
    const int fewest = *study.copies_for_traffic(least);
    if (!(least.unit == best.unit))
      text += fmt::format("; fewest GPUs serve it as {} x {}: {}", fewest, unit_text(least.unit),
                          fewest * least.unit.gpus());
    text += ".";
  }
  return text;
}

std::string own_text(const ServingPlanStudy& study) {
  if (!study.own) return "The scenario's own deployment is not possible.";
  for (std::size_t i = 0; i < study.plans.size(); ++i) {
    const PlannedUnit& plan = study.plans[i];
    if (!(plan.unit == *study.own)) continue;
    if (i == 0) return "The scenario's own deployment is the best.";
    return fmt::format(
        "The scenario's own deployment, {}, serves {} of the best per GPU: rank {} of {}.", unit_text(plan.unit),
        format_percent(plan.requests_per_gpu() / study.plans.front().requests_per_gpu(), 0), i + 1, study.plans.size());
  }
  return fmt::format("The scenario's own deployment, {}, serves nothing within the promise.", unit_text(*study.own));
}

std::string to_text(const ServingPlanStudy& study, const TextStyle& style) {
  std::string text = wrap(answer_text(study), style.width(), "") + "\n\n";
  TextTable table(
      {Align::right, Align::right, Align::right, Align::right, Align::right, Align::right, Align::right, Align::left});
  table.header(
      {"", "GPUs", "req/s/GPU", "tok/s/GPU", "TTFT p90", "TPOT p90", "$/1K req", "deployment  [what limits it]"});
  for (std::size_t i = 0; i < std::min(kShown, study.plans.size()); ++i) {
    const PlannedUnit& plan = study.plans[i];
    const CurveSample& s = plan.at_most;
    std::string what = unit_text(plan.unit);
    if (const std::string limit = limit_of(plan); !limit.empty()) what += fmt::format(" [{}]", limit);
    table.row({fmt::format("{}", i + 1), fmt::format("{}", plan.unit.gpus()),
               fmt::format("{:.3g}", plan.requests_per_gpu()), fmt::format("{:.0f}", s.tokens_per_s_per_gpu),
               format_time(Seconds(s.ttft_p90)), format_time(Seconds(s.tpot_p90)), thousand_requests(study, plan),
               what});
  }
  text += table.render(style) + "\n" + wrap(own_text(study), style.width(), "") + "\n";
  if (std::any_of(study.plans.begin(), study.plans.end(), [](const PlannedUnit& plan) { return plan.roughly; }))
    text += wrap("Roughly: it serves at least that and less than twice as much, and another serves far more.",
                 style.width(), "  ") +
            "\n";
  if (study.plans.size() > kShown) text += fmt::format("{} more are in --csv.\n", study.plans.size() - kShown);
  if (study.left_out.empty()) return text;
  text += fmt::format("\nLeft out ({}):\n", study.left_out.size());
  for (std::size_t i = 0; i < std::min(kShownLeftOut, study.left_out.size()); ++i) {
    text +=
        wrap(fmt::format("{}: {}", unit_text(study.left_out[i].unit), study.left_out[i].why), style.width() - 2, "  ") +
        "\n";
  }
  if (study.left_out.size() > kShownLeftOut) text += "  ...\n";
  return text;
}

std::string to_csv(const ServingPlanStudy& study) {
  std::string text =
      csv_line({"rank", "gpus", "requests_per_s", "requests_per_s_per_gpu", "output_tokens_per_s_per_gpu",
                "output_tokens_per_s_per_user", "ttft_p90_s", "tpot_p90_s", "usd_per_million_output",
                "usd_per_1000_requests", "copies", "limited_by", "deployment", "left_out_because"});
  for (std::size_t i = 0; i < study.plans.size(); ++i) {
    const PlannedUnit& plan = study.plans[i];
    const CurveSample& s = plan.at_most;
    text += csv_line({fmt::format("{}", i + 1), fmt::format("{}", plan.unit.gpus()), shortest(s.requests_per_s),
                      shortest(plan.requests_per_gpu()), shortest(s.tokens_per_s_per_gpu),
                      shortest(s.tokens_per_s_per_user), shortest(s.ttft_p90), shortest(s.tpot_p90),
                      shortest(s.usd_per_million_output), shortest(study.usd_per_1000_requests(plan)),
                      fmt::format("{}", plan.copies), limit_of(plan), unit_text(plan.unit), ""});
  }
  for (const ShapeLeftOut& out : study.left_out) {
    text += csv_line(
        {"", fmt::format("{}", out.unit.gpus()), "", "", "", "", "", "", "", "", "", "", unit_text(out.unit), out.why});
  }
  return text;
}

report::ServingPlanStudy to_message(const ServingPlanStudy& study) {
  report::ServingPlanStudy message;
  message.set_scenario(study.base.name);
  message.set_title(study.base.title);
  message.set_gpus(study.base.cluster.gpus());
  message.set_promise(study.promised);
  message.set_attainment(study.attainment);
  message.set_requests_per_s_asked(study.asked.value_or(0));
  for (const PlannedUnit& plan : study.plans) {
    report::PlannedDeployment& entry = *message.add_plans();
    const CurveSample& s = plan.at_most;
    entry.set_deployment(unit_text(plan.unit));
    entry.set_gpus(plan.unit.gpus());
    entry.set_requests_per_s(s.requests_per_s);
    entry.set_output_tokens_per_s_per_gpu(s.tokens_per_s_per_gpu);
    entry.set_output_tokens_per_s_per_user(s.tokens_per_s_per_user);
    entry.set_ttft_p90_s(s.ttft_p90);
    entry.set_tpot_p90_s(s.tpot_p90);
    entry.set_usd_per_million_output(s.usd_per_million_output);
    entry.set_usd_per_1000_requests(study.usd_per_1000_requests(plan));
    entry.set_copies(plan.copies);
    entry.set_limited_by(limit_of(plan));
    entry.set_own(study.own && plan.unit == *study.own);
  }
  for (const ShapeLeftOut& out : study.left_out) {
    report::DeploymentLeftOut& entry = *message.add_left_out();
    entry.set_deployment(unit_text(out.unit));
    entry.set_why(out.why);
  }
  return message;
}

}  // namespace flopcast
