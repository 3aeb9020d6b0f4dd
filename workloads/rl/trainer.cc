#include "workloads/rl/trainer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "workloads/schedules/schedule.h"

namespace flopcast {
namespace {

TrainingConfig with_batch(const TrainerSetting& setting, int micro_batches) {
  TrainingConfig config = setting.config;
  config.unfolded = false;
  config.batch.sequence_length = setting.shape.sequence_length;
  config.batch.micro_batch_sequences = setting.shape.sequences;
  config.batch.sequences = std::int64_t{micro_batches} * config.plan.data * setting.shape.sequences;
  return config;
}

bool accepted(const TrainingConfig& config, int micro_batches) {
  const ScheduleRow* row = find_schedule(config.schedule);
  return micro_batches >= 1 && row && row->check({config.plan.pipeline, micro_batches, config.plan.chunks}).empty();
}

/// Two numbers of micro-batches next to the one that is wanted which the schedule can run; what it cannot is reported
/// by the replay of the first.
std::pair<int, int> nearby(const TrainingConfig& config, double wanted) {
  const int pipeline = config.plan.pipeline;
  // Beyond a full pipeline the line is straight: more would cost time and say the same.
  const int from = std::clamp(static_cast<int>(wanted), 1, 2 * pipeline + 1);
  const int last = from + 4 * pipeline + 4;
  int few = from;
  while (few < last && !accepted(config, few)) ++few;
  int many = few + 1;
  while (many < last + 4 * pipeline && !accepted(config, many)) ++many;
  return {few, many};
}

template <class Time>
PassLine line_through(const TrainerSetting& setting, double micro_batches, Time&& time) {
  const auto [few, many] = nearby(setting.config, micro_batches);
  const Seconds at_few = time(few), at_many = time(many);
  PassLine line;
  line.per_micro_batch = (at_many - at_few) / static_cast<double>(many - few);
  line.fixed = at_few - static_cast<double>(few) * line.per_micro_batch;
  return line;
}

}  // namespace

PassLine update_line(const TrainerSetting& setting, double micro_batches) {
  return line_through(setting, micro_batches, [&](int count) {
    const TrainingStep step =
        build_training_step(with_batch(setting, count), *setting.topology, *setting.kernels, *setting.links);
    return replay(step.graph, setting.topology->network(), {}, setting.replay).makespan;
  });
}

PassLine forward_line(const TrainerSetting& setting, double micro_batches) {
  return line_through(setting, micro_batches, [&](int count) {
    const TrainingStep step =
        build_forward_passes(with_batch(setting, count), *setting.topology, *setting.kernels, *setting.links);
    return replay(step.graph, setting.topology->network(), {}, setting.replay).makespan;
  });
}

MemoryTable update_memory(const TrainerSetting& setting) {
  const int count = nearby(setting.config, setting.config.micro_batches()).first;
  TrainingConfig config = setting.config;
  config.unfolded = false;
  config.batch.sequences = std::int64_t{count} * config.plan.data * config.batch.micro_batch_sequences;
  const TrainingStep step = build_training_step(config, *setting.topology, *setting.kernels, *setting.links);
  return *std::max_element(step.memory.begin(), step.memory.end(),
                           [](const MemoryTable& a, const MemoryTable& b) { return a.total() < b.total(); });
}

}  // namespace flopcast
