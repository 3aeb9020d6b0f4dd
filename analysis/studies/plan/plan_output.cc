#include <fmt/format.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <array>

#include "analysis/render/text/csv.h"
#include "analysis/render/text/format.h"
#include "analysis/render/text/json.h"
#include "analysis/render/text/text_table.h"
#include "analysis/studies/plan/plan_study.h"
#include "flopcast/scenario.h"
#include "scenarios/proto/plan_report.pb.h"
#include "scenarios/proto/scenario.pb.h"
#include "scenarios/read/fields/set_field.h"
#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

struct NamedPart {
  const char* name;
  Seconds StepParts::*part;
};
constexpr NamedPart kHeldBackBy[] = {
    {"bubble", &StepParts::pipeline},          {"tensor exchange", &StepParts::tensor},
    {"context exchange", &StepParts::context}, {"tokens to experts", &StepParts::expert},
    {"gradients", &StepParts::data},           {"optimiser", &StepParts::end},
};

/// A group of settings that fit on a line of the table.
std::string differs(const PlanStudy& study, const ReplayedPlan& plan) {
  const ReplayedPlan& best = study.plans.front();
  if (plan.screened.choice == best.screened.choice) return plan_text(plan.screened.choice);
  const std::string difference = plan_difference(plan.screened.choice, best.screened.choice);
  return difference.empty() ? "as the best, but for what changes nothing" : difference;
}

std::string step_of(const PlanStudy& study, const ReplayedPlan& plan) {
  const double slower = plan.step / study.plans.front().step - 1;
  return slower != 0 ? format_error(slower) : "";
}

/// "slower than 1 in 83 % of the draws"; nothing for the best.
std::string how_sure(const PlanStudy& study, const ReplayedPlan& plan) {
  const ReplayedPlan& best = study.plans.front();
  if (plan.drawn.empty() || plan.step <= best.step) return "";
  return fmt::format("; slower than 1 in {} of the draws", format_percent(slower_share(plan, best), 0));
}

/// "52 %" of the draws; nothing of a plan whose memory was not drawn.
std::string fits_text(const ReplayedPlan& plan) {
  if (plan.ran) return "ran";
  return plan.memory_p90 > Bytes(0) ? format_percent(plan.fits_share, 0) : "";
}

void add_row(TextTable& table, const PlanStudy& study, const std::string& rank, const ReplayedPlan& plan) {
  table.row({rank, format_time(plan.step), step_of(study, plan), format_bytes(plan.memory), fits_text(plan),
             format_percent(plan.mfu_causal),
             differs(study, plan) + "  [" + held_back(plan.parts) + "]" + how_sure(study, plan)});
}

report::RankedPlan to_message(const PlanStudy& study, const ReplayedPlan& plan, std::uint64_t rank) {
  const ReplayedPlan& best = study.plans.front();
  report::RankedPlan message;
  message.set_rank(static_cast<std::uint32_t>(std::min<std::uint64_t>(rank, 0xffffffff)));
  message.set_plan(plan_text(plan.screened.choice));
  message.set_differs(plan.screened.choice == best.screened.choice ? "" : differs(study, plan));
  for (const std::string& setting : plan_settings(plan.screened.choice, study.base.training->model)) {
    const std::size_t equals = setting.find('=');
    if (equals + 1 == setting.size()) continue;
    report::PlanSetting& entry = *message.add_settings();
    entry.set_field(setting.substr(0, equals));
    entry.set_value(setting.substr(equals + 1));
  }
  message.set_step_s(plan.step.value());
  message.set_screened_step_s(plan.screened.estimate.step.value());
  message.set_memory_bytes(plan.memory.value());
  message.set_slower_by(plan.step / best.step - 1);
  if (!plan.drawn.empty()) {
    report::Quantiles& range = *message.mutable_step_range_s();
    range.set_p5(plan.range.p5);
    range.set_p50(plan.range.p50);
    range.set_p95(plan.range.p95);
    message.set_slower_in_draws(slower_share(plan, best));
  }
  message.set_fits_in_draws(plan.fits_share);
  message.set_tokens_per_day(plan.tokens_per_day);
  message.set_mfu_causal(plan.mfu_causal);
  message.set_days(plan.days);
  message.set_gpu_hours(plan.gpu_hours);
  message.set_cost_usd(plan.usd);
  report::PlanParts& parts = *message.mutable_parts();
  parts.set_compute_s(plan.parts.compute.value());
  parts.set_tensor_s(plan.parts.tensor.value());
  parts.set_context_s(plan.parts.context.value());
  parts.set_expert_s(plan.parts.expert.value());
  parts.set_pipeline_s(plan.parts.pipeline.value());
  parts.set_data_s(plan.parts.data.value());
  parts.set_end_s(plan.parts.end.value());
  message.set_holds_back(held_back(plan.parts));
  return message;
}

}  // namespace

std::string searched_text(const PlanStudy& study) {
  const SearchResult& s = study.search;
  std::string text = fmt::format(
      "{} plans divide what they have to. {} leave no room for the model; {} were priced in closed form ({} of them do "
      "not fit{}{}), {} ruled out by a bound",
      format_count(s.plans), format_count(s.too_large), format_integer(s.priced), format_integer(s.no_memory),
      s.beyond > 0 ? fmt::format(", {} take longer than the best by a bound of their own", format_integer(s.beyond))
                   : "",
      s.refused > 0 ? fmt::format(", {} fail a condition", format_integer(s.refused)) : "", format_count(s.ruled_out));
  if (s.untried > 0) {
    text +=
        fmt::format("; {} differ from those in switches that were tried on the best alone", format_count(s.untried));
  }
  if (s.left > 0) text += fmt::format("; {} were not looked at (--effort)", format_count(s.left));
  text += fmt::format(". {} were replayed.", study.replayed);
  if (std::isfinite(s.bound.value())) {
    text += fmt::format(" No plan that was {} computes for less than {}.",
                        s.left > 0 ? "left out" : "ruled out by the bound", format_time(s.bound));
  }
  return text;
}

/// In what the scenario's own plan differs from the best, and what it spends more time on for that.
std::string why_slower(const PlanStudy& study) {
  const ReplayedPlan &own = *study.own, &best = study.plans.front();
  if (own.step <= best.step) return "";
  const std::string difference = plan_difference(own.screened.choice, best.screened.choice);
  std::vector<std::pair<Seconds, std::string>> more{{own.parts.compute - best.parts.compute, "compute"}};
  for (const NamedPart& part : kHeldBackBy) more.emplace_back(own.parts.*part.part - best.parts.*part.part, part.name);
  std::stable_sort(more.begin(), more.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  constexpr double kWorthTelling = 0.002;  // of a step
  std::string spent, saved;
  const auto add = [](std::string& list, Seconds time, const std::string& name) {
    list += fmt::format("{}{} on {}", list.empty() ? "" : ", ", format_time(time), name);
  };
  for (std::size_t i = 0; i < more.size() && i < 3; ++i)
    if (more[i].first > kWorthTelling * best.step) add(spent, more[i].first, more[i].second);
  if (-1.0 * more.back().first > kWorthTelling * best.step) add(saved, -1.0 * more.back().first, more.back().second);
  std::string text = difference.empty() ? std::string() : fmt::format(" What it has instead: {}.", difference);
  if (!spent.empty())
    text +=
        fmt::format(" By the closed form it spends {} more{}.", spent, saved.empty() ? "" : ", and " + saved + " less");
  return text;
}

std::string own_text(const PlanStudy& study) {
  const SearchResult& s = study.search;
  if (!study.own && s.ranked && !s.ranked->estimate.fits) {
    return fmt::format("The scenario's own plan does not fit: {} on the fullest GPU.",
                       format_bytes(s.ranked->estimate.memory));
  }
  if (!study.own) return "";
  const double slower = study.own->step / study.plans.front().step - 1;
  const bool unsure_of_room = slower < 0 && !study.own->surely_fits();
  const std::string standing = unsure_of_room
                                   ? fmt::format("is {} faster than the best, but fits in {} of the draws alone",
                                                 format_percent(-slower), format_percent(study.own->fits_share, 0))
                               : slower <= 0 ? "is the best"
                                             : fmt::format("is {} slower than the best", format_percent(slower));
  const std::string rank =
      s.rank_is_exact
          ? fmt::format("rank {} of those priced, of which the table shows one of each kind",
                        format_integer(static_cast<double>(s.rank)))
          : fmt::format("behind {} or more of those priced", format_integer(static_cast<double>(s.rank - 1)));
  const bool unsure = slower > 0 && !study.own->drawn.empty();
  const std::string sure =
      unsure ? fmt::format(" It is slower in {} of {} draws of what kernels, links and software may be off by.",
                           format_percent(slower_share(*study.own, study.plans.front()), 0),
                           format_integer(static_cast<double>(study.own->drawn.size())))
             : "";
  return fmt::format("The scenario's own plan {}: {}, {}.{}{}", standing, format_time(study.own->step), rank, sure,
                     why_slower(study));
}

std::string fits_note(const PlanStudy& study) {
  const ReplayedPlan& best = study.plans.front();
  const std::string first =
      best.surely_fits() ? fmt::format("The first fits into the memory in {} of the draws of what that may be off by",
                                       format_percent(best.fits_share, 0))
                         : fmt::format(
                               "No plan found fits in nine of ten draws of what its memory may be off by; the "
                               "first fits in {}",
                               format_percent(best.fits_share, 0));
  const auto faster = std::min_element(study.plans.begin(), study.plans.end(),
                                       [](const auto& a, const auto& b) { return a.step < b.step; });
  const bool any_ran = std::any_of(study.plans.begin(), study.plans.end(), [](const auto& plan) { return plan.ran; });
  const std::string known = any_ran ? " \"ran\": a published run's own plan, which did fit." : "";
  if (faster->step >= best.step) return first + "." + known;
  return fmt::format("{}; the fastest ({}) fits in {}.{}", first, format_time(faster->step),
                     format_percent(faster->fits_share, 0), known);
}

std::string held_back(const StepParts& parts) {
  std::vector<std::pair<double, std::string>> shares;
  for (const NamedPart& part : kHeldBackBy) {
    const double share = (parts.*part.part) / parts.total();
    if (share >= 0.01) shares.emplace_back(share, fmt::format("{} {}", part.name, format_percent(share, 0)));
  }
  std::stable_sort(shares.begin(), shares.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  if (shares.size() > 3) shares.resize(3);
  std::vector<std::string> words;
  for (const auto& [share, text] : shares) words.push_back(text);
  return words.empty() ? "compute" : fmt::format("{}", fmt::join(words, ", "));
}

std::string answer_text(const PlanStudy& study) {
  const ReplayedPlan& best = study.plans.front();
  const std::string range = best.drawn.empty()
                                ? ""
                                : fmt::format(" ({} to {} in 90 % of the cases)", format_time(Seconds(best.range.p5)),
                                              format_time(Seconds(best.range.p95)));
  std::string text = fmt::format("{} on {} GPUs ({}): the best plan takes {} a step{}, {} MFU (causal)",
                                 study.base.title, study.space.gpus, study.base.cluster.node.gpu.name,
                                 format_time(best.step), range, format_percent(best.mfu_causal));
  if (best.days > 0) {
    text += fmt::format("; the run's tokens take {:.1f} days", best.days);
    if (best.usd > 0) text += fmt::format(" and {}", format_usd(Usd(best.usd)));
    text += " without interruptions";
  }
  return text + ".";
}

std::string to_text(const PlanStudy& study, const TextStyle& style) {
  std::string text = wrap(answer_text(study), style.width(), "") + "\n\n";
  TextTable table({Align::right, Align::right, Align::right, Align::right, Align::right, Align::right, Align::left});
  table.header(
      {"", "step", "", "memory", "fits", "MFU", "plan, and what the others differ in  [what holds them back]"});
  for (std::size_t i = 0; i < study.plans.size(); ++i) {
    add_row(table, study, fmt::format("{}", i + 1), study.plans[i]);
  }
  const bool listed = study.own && std::any_of(study.plans.begin(), study.plans.end(), [&](const ReplayedPlan& plan) {
                        return plan.screened.choice == study.own->screened.choice;
                      });
  if (study.own && !listed) add_row(table, study, "own", *study.own);
  text += table.render(style) + "\n";
  text += wrap(fits_note(study), style.width(), "") + "\n";
  if (const std::string own = own_text(study); !own.empty()) text += wrap(own, style.width(), "") + "\n";
  for (const PlanAnswer& answer : study.why) {
    text += wrap(fmt::format("Why not {}? {}.", answer.asked, answer.text), style.width() - 2, "  ") + "\n";
  }
  return text + wrap(searched_text(study), style.width(), "") + "\n";
}

report::PlanStudy to_message(const PlanStudy& study) {
  report::PlanStudy message;
  message.set_scenario(study.base.name);
  message.set_title(study.base.title);
  message.set_gpus(study.space.gpus);
  for (const std::string& path : study.varied) message.add_open(path);
  const SearchResult& s = study.search;
  report::PlanSearch& search = *message.mutable_search();
  search.set_plans(s.plans);
  search.set_priced(s.priced);
  search.set_no_memory(s.no_memory);
  search.set_too_large(s.too_large);
  search.set_beyond(s.beyond);
  search.set_refused(s.refused);
  search.set_ruled_out(s.ruled_out);
  search.set_untried(s.untried);
  search.set_left(s.left);
  search.set_bound_s(std::isfinite(s.bound.value()) ? s.bound.value() : 0);
  search.set_replayed(static_cast<int>(study.replayed));
  for (std::size_t i = 0; i < study.plans.size(); ++i) *message.add_plans() = to_message(study, study.plans[i], i + 1);
  if (study.own) *message.mutable_own() = to_message(study, *study.own, s.rank_is_exact ? s.rank : 0);
  static constexpr std::array<const char*, 5> kVerdicts{"impossible", "memory", "condition", "slower", "best"};
  for (const PlanAnswer& answer : study.why) {
    report::PlanAnswer& entry = *message.add_why();
    entry.set_asked(answer.asked);
    entry.set_verdict(kVerdicts[static_cast<std::size_t>(answer.verdict)]);
    entry.set_text(answer.text);
    if (answer.plan) *entry.mutable_plan() = to_message(study, *answer.plan, 0);
  }
  return message;
}

std::string to_csv(const PlanStudy& study) {
  std::vector<std::string> header{"rank",       "step_s",          "screened_step_s", "slower_by",  "step_p5_s",
                                  "step_p95_s", "slower_in_draws", "memory_bytes",    "mfu_causal", "tokens_per_day",
                                  "days",       "gpu_hours",       "cost_usd",        "holds_back", "fits_in_draws"};
  for (const PlanField& field : plan_fields()) header.emplace_back(field.path);
  std::string text = csv_line(header);
  const auto line = [&](const std::string& rank, const ReplayedPlan& plan) {
    std::vector<std::string> cells{rank,
                                   shortest(plan.step.value()),
                                   shortest(plan.screened.estimate.step.value()),
                                   shortest(plan.step / study.plans.front().step - 1),
                                   shortest(plan.range.p5),
                                   shortest(plan.range.p95),
                                   shortest(slower_share(plan, study.plans.front())),
                                   shortest(plan.memory.value()),
                                   shortest(plan.mfu_causal),
                                   shortest(plan.tokens_per_day),
                                   shortest(plan.days),
                                   shortest(plan.gpu_hours),
                                   shortest(plan.usd),
                                   held_back(plan.parts),
                                   shortest(plan.fits_share)};
    for (const PlanField& field : plan_fields()) cells.push_back(field.value(plan.screened.choice));
    text += csv_line(cells);
  };
  for (std::size_t i = 0; i < study.plans.size(); ++i) line(fmt::format("{}", i + 1), study.plans[i]);
  if (study.own) line("own", *study.own);
  return text;
}

std::string scenario_text(const PlanStudy& study, const PlanChoice& choice, const Environment& environment) {
  proto::Scenario scenario;
  Places places;
  Diagnostics faults;
  parse_text(study.text, study.base.file, scenario, places, faults);
  const PrecisionPlan& precision = study.space.precisions[static_cast<std::size_t>(choice.precision)];
  std::vector<std::string> settings = plan_settings(choice, study.base.training->model);
  if (!(precision == study.base.training->precision)) {
    settings.push_back(fmt::format("training.precision.linear={}", name(precision.linear)));
    settings.push_back(fmt::format("training.precision.scaling={}",
                                   enum_names(precision.scaling)[static_cast<std::size_t>(precision.scaling)]));
    settings.push_back(fmt::format("training.precision.dispatch={}", name(precision.dispatch)));
    settings.push_back(fmt::format("training.precision.activations={}", name(precision.activations)));
  }
  for (const std::string& setting : settings) set_field(setting, scenario, places, faults);
  const Scenario planned = with_plan(study.base, choice, study.space);
  for (int i = 0; i < scenario.run().phase_size(); ++i) {
    if (!scenario.run().phase(i).has_plan()) continue;
    proto::Plan& plan = *scenario.mutable_run()->mutable_phase(i)->mutable_plan();
    plan.Clear();
    plan.set_context(planned.phases[static_cast<std::size_t>(i)].plan.context);
    plan.set_data(planned.phases[static_cast<std::size_t>(i)].plan.data);
    proto::Batch& batch = *scenario.mutable_run()->mutable_phase(i)->mutable_batch();
    batch.set_micro_batch_sequences(planned.phases[static_cast<std::size_t>(i)].batch.micro_batch_sequences);
  }
  scenario.clear_published();  // of another plan
  scenario.set_title(planned_title(study.base.title, plan_text(choice)));
  if (!faults.empty()) throw InputError(std::move(faults));
  std::string body;
  google::protobuf::TextFormat::PrintToString(scenario, &body);
  const std::string text =
      fmt::format("# {}\n# With the best plan that flopcast plan found.\n{}", study.base.title, body);
  resolve_text(text, study.base.file, environment);
  return text;
}

}  // namespace flopcast
