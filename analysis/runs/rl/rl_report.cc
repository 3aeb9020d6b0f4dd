#include "analysis/runs/rl/rl_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "analysis/render/text/format.h"
#include "analysis/runs/parts/message_parts.h"
#include "analysis/runs/parts/text_parts.h"
#include "analysis/runs/rl/rl_metrics.h"

namespace flopcast {
namespace {

std::string rl_title(const RlReport& r, const TextStyle& style) {
  const RlScenario& rl = r.rl();
  const ModelConfig& model = rl.model();
  std::string on =
      fmt::format("{}: {} on {} x {}", rl.loop.algorithm->name, model.title.empty() ? model.name : model.title,
                  format_integer(rl.gpus() - rl.gpus_elsewhere()), r.scenario.cluster.node.gpu.title);
  if (rl.rollout_cluster)
    on += fmt::format("{} to train and {} x {} to generate",
                      rl.loop.aside_gpus() > 0 ? fmt::format(", {}", format_integer(rl.trainer_gpus())) : "",
                      format_integer(rl.engine_gpus()), rl.rollout_cluster->node.gpu.title);
  else if (rl.separate())
    on += fmt::format(", {} to train and {} to generate", format_integer(rl.trainer_gpus()),
                      format_integer(rl.engine_gpus())) +
          (rl.overlap_gpus() > 0 ? fmt::format(", {} of them the trainer's", format_integer(rl.overlap_gpus())) : "");
  else if (rl.trains() && rl.generates())
    on += ", generation and training in turn";
  if (rl.loop.critic.gpus > 0) on += fmt::format(", {} for the critic", format_integer(rl.loop.critic.gpus));
  if (rl.loop.frozen.gpus > 0) on += fmt::format(", {} for frozen models", format_integer(rl.loop.frozen.gpus));
  return style.bold(r.scenario.title) + "\n" + style.dim(wrap(on, style.width(), "")) + "\n\n";
}

std::string rl_headline(const RlReport& r, const TextStyle& style) {
  const auto tokens_of = [](double count) {
    const std::string number = format_integer(count);
    return number + (number == "1" ? " token" : " tokens");
  };
  const RlStepMeans& s = r.step;
  const double tokens = s.prompt_tokens + s.answer_tokens;
  std::string out =
      fmt::format("One step of {} answers, {} each on average and {} the longest, takes {}", format_integer(s.answers),
                  tokens_of(s.answer_tokens / s.answers), format_integer(s.longest), format_time(s.length));
  const int updates = r.rl().updates() * r.rl().loop.epochs;
  if (updates > 1 && r.rl().loop.algorithm->trains)
    out += fmt::format(", {} per update", format_time(s.length / updates));
  out += fmt::format(": {:.4g} tokens per second and GPU.", tokens / s.length.value() / r.rl().gpus());
  if (r.ranges) out += " " + range_sentence(r);
  if (r.run) {
    out += fmt::format(" The run of {} steps takes {} GPU-hours: {}", format_integer(r.run->steps),
                       format_count(r.run->gpu_hours), format_days(r.run->time.total()));
    if (r.run->cost > Usd(0)) out += ", " + format_usd(r.run->cost);
    out += ".";
  }
  return wrap(out, style.width(), "") + "\n\n";
}

std::string part_table(const RlReport& r, const TextStyle& style) {
  const auto add = [&](const std::string& text) { return fact(text, style); };
  TextTable table({Align::left, Align::right, Align::right});
  table.header({"where the step goes", "time", "share"});
  const std::vector<Metric> found = rl_metrics(&r);
  for (std::size_t i = 0; i < kRlParts; ++i) {
    const Seconds time = r.step.parts[i];
    if (time <= Seconds(0)) continue;
    table.row({std::string(name(static_cast<RlPart>(i))), format_time(time), format_percent(time / r.step.length)});
  }
  table.row({"step", format_time(r.step.length), ""});
  std::string out = table.render(style) + "\n";
  const auto share = [&](const char* metric) { return find_metric(found, metric)->shown(); };
  out += add(fmt::format(
      "of all GPUs' time {} compute, {} have no answer left while others write, {} wait for engine, "
      "trainer, tools or rewards, {} for weights and memory on their way, {} for the trainer's fullest replica or slow "
      "parts, {} for the host",
      share("rl.gpu_busy"), share("rl.idle_tail"), share("rl.idle_waiting"), share("rl.idle_moving"),
      share("rl.idle_imbalance"), share("rl.idle_host")));
  return out;
}

std::string loop_facts(const RlReport& r, const TextStyle& style) {
  const auto add = [&](const std::string& text) { return fact(text, style); };
  const RlStepMeans& s = r.step;
  std::string out;
  if (r.rl().generates() && s.awake > Seconds(0))
    out +=
        add(fmt::format("the engine is awake {} of a step and writes {:.4g} tokens per second and GPU; its replicas "
                        "are at work {} of that time",
                        format_time(s.awake), s.written / s.awake.value() / r.rl().engine_gpus(),
                        format_percent(s.engine_busy / s.awake)));
  if (r.sync.payload > Bytes(0))
    out += add(fmt::format("weights: {} for every replica, {} into each GPU; network {}, load {}, fixed {}",
                           format_bytes(r.sync.payload), format_bytes(r.sync.received), format_time(r.sync.network),
                           format_time(r.sync.load), format_time(r.sync.fixed)));
  if (s.staleness_most > 0)
    out +=
        add(fmt::format("answers are {:.2f} versions behind the weights that they update, at most {:.0f}; {} are "
                        "interrupted per step",
                        s.staleness, s.staleness_most, format_integer(s.interrupted)));
  if (s.tool_calls > 0)
    out += add(fmt::format(
        "{} calls of tools per step, between the turns of answers{}", format_integer(s.tool_calls),
        s.timed_out_tools > 0 ? fmt::format("; {} run into their time-out", format_integer(s.timed_out_tools)) : ""));
  if (s.timed_out_rewards > 0)
    out += add(fmt::format("{} rewards per step run into their time-out", format_integer(s.timed_out_rewards)));
  if (s.thrown_away > 0)
    out += add(fmt::format("{} answers per step are thrown away for want of a signal", format_integer(s.thrown_away)));
  return out;
}

std::string memory_part(const RlReport& r, const TextStyle& style) {
  const auto add = [&](const std::string& text) { return fact(text, style); };
  std::string out;
  const ModelStates& m = r.states;
  std::string models;
  for (const auto& [what, bytes] : {std::pair("policy", m.policy),
                                    {"critic", m.critic},
                                    {"reference", m.reference},
                                    {"reward model", m.reward},
                                    {"teacher", m.teacher}}) {
    if (bytes > Bytes(0)) models += fmt::format("{}{} {}", models.empty() ? "" : ", ", what, format_bytes(bytes));
  }
  if (!models.empty()) out += add("models, each parameter once: " + models);
  for (const PhaseMemory& phase : r.memory) {
    const std::string total = fmt::format("{} of {}", format_bytes(phase.total()), format_bytes(phase.capacity));
    std::string items;
    for (const MemoryRow& row : phase.table.rows)
      items += fmt::format("{}{} {}", items.empty() ? "" : ", ", row.item, format_bytes(row.bytes));
    out += add(fmt::format("{}: {} on the fullest GPU: {}", phase.phase,
                           phase.total() <= phase.capacity ? total : style.bad(total), items));
  }
  return out;
}

std::string run_part(const RlReport& r, const TextStyle& style) {
  if (!r.run || r.run->points.size() < 2) return "";
  TextTable table({Align::right, Align::right, Align::right});
  table.header({"step of the run", "mean answer", "step takes"});
  for (const RlRunPoint& point : r.run->points)
    table.row({format_integer(point.step), format_integer(point.mean), format_time(point.length)});
  return style.bold("The run") + "\n" + table.render(style) + "\n";
}

}  // namespace

std::string range_sentence(const RlReport& r) {
  const std::optional<FigureRange> range = r.range_of(r.step.length.value());
  if (!range) return "";
  std::vector<std::string> inputs;
  for (std::size_t i = 0; i < std::min<std::size_t>(2, r.ranges->inputs.size()); ++i) {
    const RangeInput& input = r.ranges->inputs[i];
    inputs.push_back(fmt::format("{} ({})", input.title, format_percent(input.variance_share, 0)));
  }
  return fmt::format("In 90 % of the cases it is {} to {}, most of it for {}.", format_time(Seconds(range->p5)),
                     format_time(Seconds(range->p95)), fmt::join(inputs, ", "));
}

std::string to_text(const RlReport& r, const TextStyle& style) {
  const std::string published = published_text(r.comparisons, rl_metrics(&r), style);
  std::string out = rl_title(r, style) + rl_headline(r, style) + published + (published.empty() ? "" : "\n") +
                    part_table(r, style) + loop_facts(r, style) + "\n" + style.bold("Memory") + "\n" +
                    memory_part(r, style) + "\n" + run_part(r, style);
  if (!r.notes.empty()) out += style.bold("Notes") + "\n" + bullets(r.notes, style);
  if (!r.scenario.defaults_used.empty())
    out += "\n" + style.bold("Defaults used") + "\n" + default_facts(r.scenario.defaults_used, style);
  return out;
}

report::Report to_message(const RlReport& r) {
  report::Report message;
  fill(rl_metrics(&r), message);
  add_slow_parts(r.scenario, message);
  report::Rl& rl = *message.mutable_rl();
  for (const PhaseMemory& phase : r.memory) {
    report::RlPhaseMemory& out = *rl.add_phases();
    out.set_phase(phase.phase);
    out.set_total_bytes(phase.total().value());
    out.set_capacity_bytes(phase.capacity.value());
    for (const MemoryRow& row : phase.table.rows) {
      report::RlMemoryItem& item = *out.add_items();
      item.set_item(row.item);
      item.set_bytes(row.bytes.value());
      item.set_detail(row.detail);
    }
  }
  if (r.run) {
    for (const RlRunPoint& point : r.run->points) {
      report::RlRunPoint& out = *rl.add_points();
      out.set_step(point.step);
      out.set_mean_answer_tokens(point.mean);
      out.set_step_time_s(point.length.value());
    }
  }
  add_small_print(r.comparisons, r.notes, r.scenario.defaults_used, message);
  return message;
}

}  // namespace flopcast
