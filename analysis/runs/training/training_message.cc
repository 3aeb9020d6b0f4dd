#include "analysis/runs/training/training_message.h"

#include "analysis/runs/parts/message_parts.h"
#include "analysis/runs/training/training_metrics.h"

namespace flopcast {
namespace {

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
  out.set_host_wait_s(metrics.host.value());
  out.set_compute_busy_s(metrics.compute_busy.value());
  out.set_communication_busy_s(metrics.communication_busy.value());
}

void describe(const CriticalPath& path, const SourceShare& sources, report::CriticalPath& out) {
  for (const CriticalPath::Share& share : shares_with_host(path, sources)) {
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

void describe(const TrainingReport& report, report::Training& out) {
  for (const MemoryTable& table : report.memory) describe(table, *out.add_memory());
  for (std::size_t r = 0; r < report.ranks.size(); ++r) {
    describe(report.ranks[r], report.rank_metrics[r], *out.add_ranks());
  }
  if (report.path) describe(*report.path, report.sources, *out.mutable_critical_path());
  for (const LinkLoad& load : report.busiest_links) {
    report::LinkLoad& item = *out.add_busiest_links();
    item.set_link(load.name);
    item.set_bytes(load.bytes.value());
    item.set_utilisation(load.utilisation);
  }
  if (!report.range) return;
  for (const RangeInput& input : report.range->inputs) {
    report::RangeInput& item = *out.add_range_inputs();
    item.set_input(input.title);
    item.set_log_standard_deviation(input.log_sd);
    item.set_variance_share(input.variance_share);
    item.set_source(input.source);
  }
}

void describe(const Projection& projection, report::Projection& out) {
  for (std::size_t i = 0; i < projection.phases.size(); ++i) {
    report::Phase& phase = *out.mutable_phases(static_cast<int>(i));
    phase.set_name(projection.phases[i].name);
    phase.set_source(projection.phases[i].source);
  }
  for (const std::string& note : projection.notes) out.add_notes(note);
}

// What reports without lists of their own are made of.
template <class AnyReport>
report::Report plain_message(const AnyReport& report, std::span<const Metric> metrics) {
  report::Report message;
  fill(metrics, message);
  add_slow_parts(report.scenario, message);
  add_small_print(report.comparisons, report.notes, report.scenario.defaults_used, message);
  return message;
}

}  // namespace

report::Report to_message(const TrainingReport& report) {
  report::Report message = plain_message(report, training_metrics(&report));
  describe(report, *message.mutable_training());
  if (report.projection) describe(*report.projection, *message.mutable_projection());
  return message;
}

report::Report to_message(const CollectiveReport& report) { return plain_message(report, collective_metrics(&report)); }

report::Report to_message(const LifeReport& report) { return plain_message(report, life_metrics(&report)); }

}  // namespace flopcast
