// Whether a step's fullest GPU holds it, what is said where it does not, and how sure that is.
#include <algorithm>

#include <fmt/format.h>

#include "analysis/render/text/format.h"
#include "analysis/runs/parts/message_parts.h"
#include "analysis/runs/parts/notes.h"
#include "analysis/runs/training/run.h"
#include "scenarios/read/text/text_file.h"
#include "workloads/training/prices/step_layout.h"
#include "workloads/training/step/steady_state.h"

namespace flopcast {

namespace {

Diagnostic memory_diagnostic(const std::string& field, const MemoryTable& table, Bytes capacity) {
  Diagnostic diagnostic;
  diagnostic.field = field;
  diagnostic.found =
      fmt::format("{} on the fullest GPU (pipeline rank {})", format_bytes(table.total()), table.pipeline_rank);
  diagnostic.expected = fmt::format("at most {}", format_bytes(capacity));
  diagnostic.beyond_memory = true;
  return diagnostic;
}

/// @throws MemoryRefused when a phase's plan does not fit. What its schedule cannot run is scaled, not
/// refused.
void check_phase_fit(const Scenario& scenario, const TrainingPhase& phase) {
  if (phase.given_gpu_hours) return;
  TrainingConfig config = phase_config(*scenario.training, phase);
  config.unfolded = false;
  std::vector<std::string> notes;
  try {
    check_memory(scenario, config, prepare_step(scenario, config, few_micro_batches(config)).step, false, notes);
  } catch (const MemoryRefused& refused) {
    throw refused.at(phase_plan_field(phase));
  } catch (const InputError&) {
  }
}

}  // namespace

MemoryRefused::MemoryRefused(const std::string& field, MemoryTable fullest, Bytes capacity,
                             std::vector<std::string> remedies)
    : MemoryRefused(memory_diagnostic(field, fullest, capacity), fullest, capacity, std::move(remedies)) {}

MemoryRefused::MemoryRefused(Diagnostic diagnostic, MemoryTable fullest, Bytes capacity,
                             std::vector<std::string> remedies)
    : InputError(std::move(diagnostic)),
      fullest_(std::move(fullest)),
      capacity_(capacity),
      remedies_(std::move(remedies)) {}

MemoryRefused MemoryRefused::at(const Places& places) const {
  return {placed(diagnostics().front(), places), fullest_, capacity_, remedies_};
}

const MemoryTable& fullest(const std::vector<MemoryTable>& tables) {
  return *std::max_element(tables.begin(), tables.end(),
                           [](const MemoryTable& a, const MemoryTable& b) { return a.total() < b.total(); });
}

const MemoryTable& TrainingReport::fullest_memory() const { return fullest(memory); }

StepExtent few_micro_batches(const TrainingConfig& config) { return {usual_shortened(config.plan.pipeline)}; }

double ran_in(const Scenario& scenario, const MemoryTable& table) {
  const Bytes offered = scenario.cluster.node.gpu.hbm_usable();
  const bool ran = !scenario.published.empty() && !scenario.run_changed && table.total() <= offered;
  return ran ? offered.value() : 0;
}

void check_memory(const Scenario& scenario, const TrainingConfig& config, const TrainingStep& step, bool allow_oom,
                  std::vector<std::string>& notes) {
  const Bytes capacity = scenario.cluster.node.gpu.hbm_usable();
  const MemoryTable& table = fullest(step.memory);
  if (table.total() <= capacity) return;
  if (!allow_oom) {
    throw MemoryRefused("training.plan", table, capacity,
                        memory_remedies(config, step.stages, step.schedule, step.hottest_load, scenario.cluster.node));
  }
  const std::string note = fmt::format(
      "the plan does not fit with {} tokens per sequence: {} of {} on the fullest GPU; replayed all the "
      "same (--allow-oom)",
      format_integer(static_cast<double>(config.batch.sequence_length)), format_bytes(table.total()),
      format_bytes(capacity));
  if (std::find(notes.begin(), notes.end(), note) == notes.end()) notes.push_back(note);
}

std::string unsure_fit(double share) {
  return fmt::format(
      "the plan fits into the memory by what is expected, and in {} of the draws of what that may be off by",
      format_percent(share, 0));
}

double share_that_fits(const Scenario& scenario, const StepErrors& errors) {
  const PreparedStep prepared = prepare_step(scenario, *scenario.training, few_micro_batches(*scenario.training));
  StepOrigins origins;
  origins.memory = &fullest(prepared.step.memory);
  origins.software = &scenario.training->software;
  origins.ran_in_bytes = ran_in(scenario, *origins.memory);
  return share_within(memory_draws(origins, errors), scenario.cluster.node.gpu.hbm_usable().value());
}

MemoryTable check_fit(const Scenario& scenario) {
  const PreparedStep prepared = prepare_step(scenario, *scenario.training, few_micro_batches(*scenario.training));
  std::vector<std::string> notes;
  check_memory(scenario, *scenario.training, prepared.step, false, notes);
  for (const TrainingPhase& phase : scenario.phases) {
    check_phase_fit(scenario, phase);
    PhaseTime some_work;
    some_work.steady = hours(24);
    if (!phase.given_gpu_hours) with_interruptions(some_work, static_cast<int>(phase.plan.gpus()), scenario.resilience);
  }
  return fullest(prepared.step.memory);
}

}  // namespace flopcast
