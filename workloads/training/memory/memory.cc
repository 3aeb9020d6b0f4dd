#include "workloads/training/memory/memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "workloads/training/memory/memory_terms.h"

namespace flopcast {

namespace {

double gb(Bytes bytes) { return bytes.value() / 1e9; }

/// Largest sum of live activations over a rank's order. A chunk's activations live from its forward until its
/// weight gradient is done.
struct ActivationPeak {
  Bytes bytes;
  int in_flight = 0;
};

ActivationPeak activation_peak(const Schedule& schedule, int rank, const std::vector<Bytes>& per_chunk) {
  ActivationPeak peak;
  Bytes live;
  int count = 0;
  const auto take = [&](int chunk) {
    live += per_chunk[chunk];
    ++count;
    if (live > peak.bytes) peak = {live, count};
  };
  const auto release = [&](int chunk) {
    live -= per_chunk[chunk];
    --count;
  };
  for (const Pass& pass : schedule.order[rank]) {
    switch (pass.kind) {
      case PassKind::forward:
        take(pass.chunk);
        break;
      case PassKind::backward:
      case PassKind::backward_weight:
        release(pass.chunk);
        break;
      case PassKind::backward_input:
        break;
      case PassKind::overlapped:
        take(pass.chunk);
        release(pass.backward_chunk);
        break;
    }
  }
  return peak;
}

/// Ranks that hold the stages of `rank`: a schedule that holds every stage twice has twice the replicas to shard over.
int holders_of(const Schedule& schedule, int rank) {
  const std::vector<int>& own = schedule.stage_of[static_cast<std::size_t>(rank)];
  std::ptrdiff_t holders = 0;
  for (const auto& stages : schedule.stage_of) holders += std::count(stages.begin(), stages.end(), own.front());
  return static_cast<int>(holders);
}

struct RankFigures {
  MemoryTerms::Held held;
  ActivationPeak peak;
  int holders = 1;
  MemoryFigures bytes;
};

RankFigures rank_figures(const MemoryTerms& terms, const std::vector<StageContent>& stages, const Schedule& schedule,
                         int rank) {
  RankFigures of;
  std::vector<Bytes> per_chunk;
  for (const int stage : schedule.stage_of[static_cast<std::size_t>(rank)]) {
    terms.add(of.held, stages[static_cast<std::size_t>(stage)]);
    per_chunk.push_back(terms.activation(stages[static_cast<std::size_t>(stage)]));
  }
  of.peak = activation_peak(schedule, rank, per_chunk);
  of.holders = holders_of(schedule, rank);
  of.bytes = terms.figures(of.held, of.holders, of.peak.bytes);
  return of;
}

MemoryTable rank_table(const TrainingConfig& config, const MemoryTerms& terms, const std::vector<StageContent>& stages,
                       const Schedule& schedule, int rank) {
  const PrecisionPlan& p = config.precision;
  const ParallelPlan& plan = config.plan;
  const RankFigures of = rank_figures(terms, stages, schedule, rank);
  const double dense_shards = terms.dense_shards(of.holders), expert_shards = terms.expert_shards(of.holders);
  MemoryTable table;
  table.pipeline_rank = rank;
  const auto row = [&](std::string item, double bytes, std::string detail) {
    if (bytes > 0) table.rows.push_back({std::move(item), Bytes(bytes), std::move(detail)});
  };
  row("parameters", of.bytes.parameters,
      fmt::format(
          "{:.2f} G elements, {:.2f} G of them experts; {}{}{}", of.held.all() / 1e9, of.held.elements.expert / 1e9,
          terms.shards_are_master() ? fmt::format("{}, the master weights", name(p.master)) : name(p.parameters),
          terms.keeps_narrow_copy() && !terms.shards_are_master()
              ? p.linear == Precision::fp4 ? " and the FP4 operands" : " and the FP8 operands"
              : "",
          plan.zero_stage >= 3 ? fmt::format(", sharded {:.0f} ways", dense_shards) : ""));
  row("gathered layers", of.bytes.gathered_layers,
      stays_gathered(config) ? "all, for a whole step" : "the one that computes and the next");
  row("gradients", of.bytes.gradients,
      fmt::format("{}, accumulated{}", name(p.gradients),
                  plan.zero_stage < 2                                  ? ""
                  : reduces_last(config) && config.micro_batches() > 1 ? ", summed up whole"
                                                                       : ", sharded"));
  row("gradients of a layer", of.bytes.gradients_of_layer, "not yet reduced");
  row("optimiser states", of.bytes.optimiser_states,
      fmt::format(
          "{}moments {}; sharded {:.0f} ways, experts {:.0f} ways",
          terms.shards_are_master() || p.master == p.parameters ? "" : fmt::format("master {}, ", name(p.master)),
          name(p.moments), dense_shards, expert_shards));
  row("activations", of.bytes.activations,
      fmt::format("{} micro-batch stages in flight, {:.2f} GB each, {:g} layers", of.peak.in_flight,
                  of.peak.in_flight > 0 ? gb(of.peak.bytes) / of.peak.in_flight : 0.0, of.held.layers));
  row("logits", of.bytes.logits,
      fmt::format("{:g} bytes each, loss and gradient ({})", terms.logit_bytes(), config.software.name));
  row("layer being recomputed", of.bytes.layer_again, "one layer");
  row("expert buffers", of.bytes.expert_buffers, "rows being expanded, computed and summed in one layer");
  row("scratch of libraries", of.bytes.scratch, fmt::format("cuBLAS and others ({})", config.software.name));
  row("held beside training", of.bytes.beside, "by something else on these GPUs");
  return table;
}

}  // namespace

Bytes MemoryTable::total() const {
  Bytes sum;
  for (const MemoryRow& row : rows) sum += row.bytes;
  return sum;
}

std::vector<MemoryTable> memory_per_rank(const TrainingConfig& config, const std::vector<StageContent>& stages,
                                         const Schedule& schedule, double hottest_load) {
  const MemoryTerms terms(config, hottest_load);
  std::vector<MemoryTable> result;
  for (int rank = 0; rank < schedule.ranks; ++rank) {
    result.push_back(rank_table(config, terms, stages, schedule, rank));
  }
  return result;
}

std::vector<Bytes> memory_totals(const TrainingConfig& config, const std::vector<StageContent>& stages,
                                 const Schedule& schedule, double hottest_load) {
  const MemoryTerms terms(config, hottest_load);
  std::vector<Bytes> result;
  for (int rank = 0; rank < schedule.ranks; ++rank) {
    result.push_back(rank_figures(terms, stages, schedule, rank).bytes.total());
  }
  return result;
}

std::vector<std::string> memory_remedies(const TrainingConfig& config, const std::vector<StageContent>& stages,
                                         const Schedule& schedule, double hottest_load, const NodeSpec& node) {
  const Bytes capacity = node.gpu.hbm_usable();
  std::vector<std::pair<std::string, TrainingConfig>> ideas;  // cheapest in time first
  const auto idea = [&](std::string text, bool applies, auto change) {
    if (!applies) return;
    TrainingConfig changed = config;
    change(changed);
    ideas.emplace_back(std::move(text), std::move(changed));
  };
  const RecomputePlan& r = config.recompute;
  const bool has_link = node.host_copy_rate() > BytesPerSecond(0);
  idea("training.plan.zero_stage: 1", config.plan.zero_stage == 0, [](auto& c) { c.plan.zero_stage = 1; });
  idea("training.precision.gradients: BF16", config.precision.gradients == Precision::fp32,
       [](auto& c) { c.precision.gradients = Precision::bf16; });
  idea("training.recompute.activation_function: true", !r.activation_function && !r.full_layer,
       [](auto& c) { c.recompute.activation_function = true; });
  idea("training.recompute.norms: true", !r.norms && !r.full_layer, [](auto& c) { c.recompute.norms = true; });
  idea("training.recompute.attention_up_projections: true",
       config.model.attention.from_latent() && !r.attention_up_projections && !r.full_layer,
       [](auto& c) { c.recompute.attention_up_projections = true; });
  idea("training.precision.activations: FP8", config.precision.activations != Precision::fp8,
       [](auto& c) { c.precision.activations = Precision::fp8; });
  idea("training.offload.activations: 1", has_link && config.offload.activations < 1,
       [](auto& c) { c.offload.activations = 1; });
  idea("training.precision.moments: BF16", config.precision.moments == Precision::fp32,
       [](auto& c) { c.precision.moments = Precision::bf16; });
  idea("training.batch.micro_batch_sequences: 1", config.batch.micro_batch_sequences > 1,
       [](auto& c) { c.batch.micro_batch_sequences = 1; });
  idea("all of training.recompute but full_layer", !(r.norms && r.activation_function) && !r.full_layer, [](auto& c) {
    c.recompute.norms = c.recompute.activation_function = true;
    c.recompute.attention_up_projections = c.model.attention.from_latent();
  });
  idea("training.recompute.full_layer: true", !r.full_layer, [](auto& c) { c.recompute.full_layer = true; });
  idea("training.recompute.full_layers: 0", r.full_layer && r.full_layers > 0,
       [](auto& c) { c.recompute.full_layers = 0; });
  idea("training.offload.optimizer: 1",
       has_link && node.host_memory_bandwidth > BytesPerSecond(0) && config.offload.optimizer_share() < 1,
       [](auto& c) { c.offload.optimizer = 1; });

  std::vector<std::string> result, insufficient;
  for (const auto& [text, changed] : ideas) {
    const std::vector<Bytes> totals = memory_totals(changed, stages, schedule, hottest_load);
    const Bytes fullest = *std::max_element(totals.begin(), totals.end());
    const bool fits = fullest <= capacity;
    (fits ? result : insufficient)
        .push_back(fmt::format("{}: {:.1f} GB, {}", text, gb(fullest), fits ? "fits" : "not enough alone"));
  }
  result.insert(result.end(), insufficient.begin(), insufficient.end());
  result.push_back("more GPUs: a longer pipeline or wider expert parallelism leaves less on each");
  return result;
}

}  // namespace flopcast
