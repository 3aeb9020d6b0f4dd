#include "analysis/runs/report_message.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>

#include <algorithm>

#include "analysis/runs/training/slow_parts.h"
#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

double total(const EvidenceShare& share) { return (share.measured + share.fitted + share.roofline).value(); }

void describe(const Scenario& scenario, report::ScenarioFacts& out) {
  out.set_name(scenario.name);
  out.set_title(scenario.title);
  out.set_cluster(scenario.cluster.name);
  out.set_node(scenario.cluster.node.name);
  out.set_gpu(scenario.cluster.node.gpu.name);
  out.set_fabric(scenario.cluster.fabric.name);
  out.set_nodes(scenario.cluster.nodes);
  out.set_gpus(scenario.cluster.gpus());
  if (scenario.training) {
    out.set_model(scenario.training->model.name);
    out.set_schedule(scenario.training->schedule);
  }
  for (const SlowPart& part : scenario.cluster.slow_parts) {
    report::SlowPart& item = *out.add_slow_parts();
    item.set_kind(slow_part_name(part.kind));
    item.set_gpu(part.rank);
    item.set_speed(part.speed);
    item.set_pipeline_rank(scenario.training ? pipeline_rank_of(*scenario.training, part.rank) : -1);
  }
}

void describe(const RunFacts& run, report::Run& out) {
  out.set_operations(run.operations);
  out.set_transfers(run.transfers);
  out.set_contended_flows(run.contended_flows);
  out.set_folded(run.folded);
  out.set_replayed_gpus(static_cast<int>(run.replayed_gpus));
  out.set_backend(run.backend == TransferBackend::simgrid ? "simgrid" : "ideal");
  out.set_fingerprint(fmt::format("{:016x}", run.fingerprint));
}

void describe(const MemoryTable& table, report::Memory& out) {
  out.set_pipeline_rank(table.pipeline_rank);
  out.set_total_bytes(table.total().value());
  for (const MemoryRow& row : table.rows) {
    report::MemoryItem& item = *out.add_items();
    item.set_item(row.item);
    item.set_bytes(row.bytes.value());
    item.set_detail(row.detail);
  }
}

void describe(const ReplayedRank& rank, const RankMetrics& metrics, report::Rank& out) {
  out.set_gpu(static_cast<int>(rank.gpu.index()));
  out.set_pipeline_rank(rank.pipeline_rank);
  out.set_replica(rank.replica);
  out.set_weight(rank.weight);
  out.set_speed(rank.speed);
  out.set_forward_s(metrics.parts.forward.value());
  out.set_backward_input_s(metrics.parts.backward_input.value());
  out.set_backward_weight_s(metrics.parts.backward_weight.value());
  out.set_overlapped_s(metrics.parts.overlapped.value());
  out.set_bubble_s(metrics.parts.bubble.value());
  out.set_optimizer_s(metrics.parts.optimizer().value());
  out.set_exposed_communication_s(metrics.exposed_communication.value());
  out.set_compute_busy_s(metrics.compute_busy.value());
  out.set_communication_busy_s(metrics.communication_busy.value());
}

void describe(const CriticalPath& path, report::CriticalPath& out) {
  out.set_length_s(path.length.value());
  out.set_operations(path.operations);
  out.set_rank_changes(path.rank_changes);
  for (const CriticalPath::Share& share : path.by_name) {
    report::PathShare& item = *out.add_by_name();
    item.set_name(share.name);
    item.set_time_s(share.time.value());
    item.set_operations(share.operations);
  }
  for (const CriticalPath::Visit& visit : path.by_rank) {
    report::PathVisit& item = *out.add_by_rank();
    item.set_pipeline_rank(visit.pipeline_rank);
    item.set_time_s(visit.time.value());
  }
}

void describe_step_time(const TrainingReport& report, report::Training& out) {
  const TimeParts& parts = report.mean.parts;
  out.set_step_time_s(report.step_time.value());
  out.set_tokens_per_step(report.tokens_per_step);
  out.set_tokens_per_day(report.tokens_per_day);
  out.set_mfu_bf16_causal(report.mfu_causal);
  out.set_mfu_bf16_noncausal(report.mfu);
  out.set_tflops_per_gpu_causal(report.flops_per_gpu_causal / 1_TFLOPS);
  out.set_tflops_per_gpu_noncausal(report.flops_per_gpu / 1_TFLOPS);
  out.set_forward_s(parts.forward.value());
  out.set_backward_input_s(parts.backward_input.value());
  out.set_backward_weight_s(parts.backward_weight.value());
  out.set_overlapped_s(parts.overlapped.value());
  out.set_bubble_s(parts.bubble.value());
  out.set_optimizer_s(parts.optimizer().value());
  out.set_gradient_reduction_s(parts.gradient_reduction.value());
  out.set_optimizer_update_s(parts.optimizer_update.value());
  out.set_parameter_gather_s(parts.parameter_gather.value());
  out.set_exposed_communication_s(report.mean.exposed_communication.value());
  out.set_compute_busy_s(report.mean.compute_busy.value());
  out.set_communication_busy_s(report.mean.communication_busy.value());
}

void describe(const TrainingReport& report, report::Training& out) {
  describe_step_time(report, out);
  out.set_peak_memory_bytes(report.fullest_memory().total().value());
  out.set_memory_capacity_bytes(report.scenario.cluster.node.gpu.hbm_capacity.value());
  for (const MemoryTable& table : report.memory) describe(table, *out.add_memory());
  for (std::size_t r = 0; r < report.ranks.size(); ++r) {
    describe(report.ranks[r], report.rank_metrics[r], *out.add_ranks());
  }
  if (report.path) describe(*report.path, *out.mutable_critical_path());
  for (const LinkLoad& load : report.busiest_links) {
    report::LinkLoad& item = *out.add_busiest_links();
    item.set_link(load.name);
    item.set_bytes(load.bytes.value());
    item.set_utilisation(load.utilisation);
  }
  if (const double all = total(report.evidence); all > 0) {
    out.mutable_evidence()->set_measured(report.evidence.measured.value() / all);
    out.mutable_evidence()->set_fitted(report.evidence.fitted.value() / all);
    out.mutable_evidence()->set_roofline(report.evidence.roofline.value() / all);
  }
}

void describe(const PhaseProjection& phase, report::Phase& out) {
  const auto gpu_hours = [&](Seconds time) { return in_hours(time) * phase.gpus; };
  out.set_name(phase.name);
  out.set_given(phase.given);
  out.set_scaled(phase.scaled);
  out.set_tokens(phase.tokens);
  out.set_steps(phase.steps);
  out.set_gpus(phase.gpus);
  out.set_step_time_s(phase.step_time.value());
  out.set_gpu_hours(phase.gpu_hours);
  out.set_days(in_days(phase.time.total()));
  out.set_cost_usd(phase.cost.value());
  out.set_energy_joules(phase.energy.value());
  out.set_steady_gpu_hours(gpu_hours(phase.time.steady));
  out.set_ramp_gpu_hours(gpu_hours(phase.time.ramp));
  out.set_checkpoint_gpu_hours(gpu_hours(phase.time.checkpoints));
  out.set_lost_work_gpu_hours(gpu_hours(phase.time.lost_work));
  out.set_restart_gpu_hours(gpu_hours(phase.time.restarts));
  out.set_planned_gpu_hours(gpu_hours(phase.time.planned));
  out.set_repair_wait_gpu_hours(gpu_hours(phase.time.repair_waits));
  out.set_source(phase.source);
}

void describe(const Goodput& goodput, report::Goodput& out) {
  out.set_effective_training_time(goodput.effective());
  out.set_elapsed_hours(in_hours(goodput.elapsed()));
  out.set_useful_hours(in_hours(goodput.useful));
  out.set_checkpoint_hours(in_hours(goodput.checkpoints));
  out.set_lost_work_hours(in_hours(goodput.lost_work));
  out.set_restart_hours(in_hours(goodput.restarts));
  out.set_repair_wait_hours(in_hours(goodput.repair_waits));
  out.set_planned_hours(in_hours(goodput.planned));
  out.set_interruptions(goodput.interruptions());
  out.set_unexpected_interruptions(goodput.failures);
  out.set_planned_interruptions(goodput.planned_interruptions);
}

void describe(const Spread& spread, report::Spread& out) {
  out.set_p5(spread.low);
  out.set_median(spread.median);
  out.set_p95(spread.high);
  out.set_mean(spread.mean);
}

void describe(const ReplayedGoodput& goodput, report::ReplayedGoodput& out) {
  out.set_replays(goodput.replays);
  out.set_seed(goodput.seed);
  describe(goodput.effective, *out.mutable_effective_training_time());
  describe(goodput.elapsed_hours, *out.mutable_elapsed_hours());
  describe(goodput.useful_hours, *out.mutable_useful_hours());
  describe(goodput.checkpoint_hours, *out.mutable_checkpoint_hours());
  describe(goodput.lost_work_hours, *out.mutable_lost_work_hours());
  describe(goodput.restart_hours, *out.mutable_restart_hours());
  describe(goodput.repair_wait_hours, *out.mutable_repair_wait_hours());
  describe(goodput.planned_hours, *out.mutable_planned_hours());
  describe(goodput.interruptions, *out.mutable_interruptions());
  describe(goodput.failures, *out.mutable_unexpected_interruptions());
  describe(goodput.planned_interruptions, *out.mutable_planned_interruptions());
}

void describe(const JobLife& life, report::JobLife& out) {
  describe(life.closed, *out.mutable_closed_form());
  if (life.replayed) describe(*life.replayed, *out.mutable_replayed());
}

void describe(const Projection& projection, report::Projection& out) {
  out.set_gpu_hours(projection.gpu_hours);
  out.set_predicted_gpu_hours(projection.predicted_gpu_hours);
  out.set_days(in_days(projection.elapsed));
  out.set_cost_usd(projection.cost.value());
  out.set_energy_joules(projection.energy.value());
  out.set_goodput(projection.goodput);
  for (const PhaseProjection& phase : projection.phases) describe(phase, *out.add_phases());
  for (const std::string& note : projection.notes) out.add_notes(note);
  if (projection.life) describe(*projection.life, *out.mutable_life());
}

void describe(const Comparison& comparison, report::Comparison& out) {
  out.set_field(comparison.field);
  out.set_predicted(comparison.predicted);
  out.set_published(comparison.published);
  if (comparison.has_error()) out.set_error(comparison.error());
  out.set_source(comparison.source);
}

// The entry of a repeated field at an index, or with that `name`; null when there is none.
const Message* find_entry(const Message& message, const FieldDescriptor& field, const std::string& key) {
  const auto& reflection = *message.GetReflection();
  for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
    const Message& entry = reflection.GetRepeatedMessage(message, &field, i);
    const FieldDescriptor* const name = entry.GetDescriptor()->FindFieldByName("name");
    if (key == std::to_string(i) || (name != nullptr && key == entry.GetReflection()->GetString(entry, name))) {
      return &entry;
    }
  }
  return nullptr;
}

// One step down a path: `training`, `phases[0]` or `phases[pre-training]`.
const Message* child(const Message& message, const std::string& step) {
  const std::size_t bracket = step.find('[');
  const FieldDescriptor* const field = message.GetDescriptor()->FindFieldByName(step.substr(0, bracket));
  if (field == nullptr || field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) return nullptr;
  if (!field->is_repeated()) {
    const bool present = bracket == std::string::npos && message.GetReflection()->HasField(message, field);
    return present ? &message.GetReflection()->GetMessage(message, field) : nullptr;
  }
  if (bracket == std::string::npos || step.back() != ']') return nullptr;
  return find_entry(message, *field, step.substr(bracket + 1, step.size() - bracket - 2));
}

template <class AnyReport>
void compare(AnyReport& report) {
  const report::Report message = to_message(report);
  for (const Scenario::Published& published : report.scenario.published) {
    if (const std::optional<double> predicted = number_at(message, published.field)) {
      report.comparisons.push_back({published.field, *predicted, published.value, published.source});
    } else {
      report.notes.push_back(fmt::format("published figure `{}` has no counterpart in this report", published.field));
    }
  }
}

}  // namespace

report::Report to_message(const TrainingReport& report) {
  report::Report message;
  describe(report.scenario, *message.mutable_scenario());
  describe(report.run, *message.mutable_run());
  describe(report, *message.mutable_training());
  if (report.projection) describe(*report.projection, *message.mutable_projection());
  for (const Comparison& comparison : report.comparisons) describe(comparison, *message.add_published());
  for (const std::string& note : report.notes) message.add_notes(note);
  for (const std::string& setting : report.scenario.defaults_used) message.add_defaults_used(setting);
  return message;
}

report::Report to_message(const CollectiveReport& report) {
  report::Report message;
  describe(report.scenario, *message.mutable_scenario());
  describe(report.run, *message.mutable_run());
  const CollectiveConfig& config = *report.scenario.collective;
  report::Collective& out = *message.mutable_collective();
  out.set_operation(config.operation);
  out.set_ranks(config.ranks);
  out.set_copies(config.copies);
  out.set_bytes(config.bytes.value());
  out.set_time_s(report.time.value());
  out.set_closed_form_s(report.closed_form.value());
  out.set_port_bytes_per_s(report.port.value());
  out.set_closed_form_applies(report.closed_form_applies);
  out.set_port_bound_s(report.port_bound.value());
  out.set_algorithm_bandwidth_bytes_per_s(report.algorithm_bandwidth.value());
  out.set_bus_bandwidth_bytes_per_s(report.bus_bandwidth.value());
  for (const std::string& note : report.scenario.notes) message.add_notes(note);
  for (const std::string& setting : report.scenario.defaults_used) message.add_defaults_used(setting);
  return message;
}

report::Report to_message(const LifeReport& report) {
  report::Report message;
  describe(report.scenario, *message.mutable_scenario());
  describe(report.life, *message.mutable_life());
  for (const Comparison& comparison : report.comparisons) describe(comparison, *message.add_published());
  for (const std::string& note : report.notes) message.add_notes(note);
  for (const std::string& setting : report.scenario.defaults_used) message.add_defaults_used(setting);
  return message;
}

namespace {

bool is_number(const FieldDescriptor& field) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_DOUBLE:
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_UINT64:
      return !field.is_repeated();
    default:
      return false;
  }
}

// Paths of all numbers below a message; of its phases, by the names that the scenario gives them.
void list_numbers(const google::protobuf::Descriptor& type, const std::string& prefix,
                  const std::vector<TrainingPhase>& phases, std::vector<std::string>& paths) {
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    const std::string path = prefix + field.name();
    if (is_number(field)) paths.push_back(path);
    if (field.message_type() == nullptr) continue;
    if (!field.is_repeated()) list_numbers(*field.message_type(), path + ".", phases, paths);
    for (std::size_t p = 0; field.name() == "phases" && p < phases.size(); ++p) {
      for (const std::string& key : {phases[p].name, std::to_string(p)})
        list_numbers(*field.message_type(), fmt::format("{}[{}].", path, key), phases, paths);
    }
  }
}

// What a report of this scenario can hold.
std::vector<std::string> reported_numbers(const Scenario& scenario) {
  std::vector<std::string> paths;
  const auto add = [&](const google::protobuf::Descriptor& type, const char* prefix) {
    list_numbers(type, prefix, scenario.phases, paths);
  };
  if (scenario.training) {
    add(*report::Training::descriptor(), "training.");
    add(*report::Run::descriptor(), "run.");
    if (!scenario.phases.empty()) add(*report::Projection::descriptor(), "projection.");
  } else if (scenario.cluster_life) {
    add(*report::JobLife::descriptor(), "life.");
  } else if (scenario.serving) {
    add(*report::Serving::descriptor(), "serving.");
    add(*report::ServingCost::descriptor(), "cost.");
  } else {
    add(*report::Collective::descriptor(), "collective.");
  }
  return paths;
}

}  // namespace

void check_published(const Scenario& scenario) {
  const std::vector<std::string> known = reported_numbers(scenario);
  std::vector<Diagnostic> faults;
  for (const Scenario::Published& published : scenario.published) {
    const bool entry = published.field.starts_with("training.") && published.field.find('[') != std::string::npos;
    if (entry || std::find(known.begin(), known.end(), published.field) != known.end()) continue;
    Diagnostic fault;
    fault.file = scenario.file;
    fault.field = "published.field";
    fault.found = "`" + published.field + "`";
    fault.expected = "the path of a number in the report of this scenario, such as " + known.front();
    fault.suggestion = nearest_name(published.field, known);
    faults.push_back(fault);
  }
  if (!faults.empty()) throw InputError(faults);
}

std::optional<double> number_at(const Message& message, const std::string& path) {
  // A name in brackets may hold dots of its own.
  std::size_t dot = path.find('.');
  if (const std::size_t open = path.find('['); open != std::string::npos && open < dot) {
    dot = path.find('.', path.find(']', open));
  }
  if (dot != std::string::npos) {
    const Message* const next = child(message, path.substr(0, dot));
    return next != nullptr ? number_at(*next, path.substr(dot + 1)) : std::nullopt;
  }
  const FieldDescriptor* const field = message.GetDescriptor()->FindFieldByName(path);
  if (field == nullptr || field->is_repeated()) return std::nullopt;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return message.GetReflection()->GetDouble(message, field);
    case FieldDescriptor::CPPTYPE_INT32:
      return message.GetReflection()->GetInt32(message, field);
    case FieldDescriptor::CPPTYPE_UINT64:
      return static_cast<double>(message.GetReflection()->GetUInt64(message, field));
    default:
      return std::nullopt;
  }
}

void compare_with_published(TrainingReport& report) { compare(report); }
void compare_with_published(LifeReport& report) { compare(report); }

}  // namespace flopcast
