// What holds for every training step, whatever its figures.
#include "tests/laws/law_parts.h"

namespace flopcast::testing {
namespace {

RunSettings quick(Sharing sharing = Sharing::max_min) {
  RunSettings settings;
  settings.sharing = sharing;
  settings.allow_oom = true;
  return settings;
}

double step(const std::string& text, const Sets& sets = {}, Sharing sharing = Sharing::max_min) {
  return value_of(run_text(text, sets, quick(sharing)), "training.step_time_s");
}
double memory(const std::string& text, const Sets& sets = {}) {
  return value_of(run_text(text, sets, quick(Sharing::ideal)), "training.peak_memory_bytes");
}

/// With the layers where they are: what is faster, or has more room, may be given others (layer_split: "balanced").
Sets in_place(Sets sets) {
  sets.push_back("training.plan.layer_split=even");
  return sets;
}

/// An ideal back end, so that no flow waits for another: then nothing is decided while a step runs, and what makes an
/// operation shorter cannot make the step longer (Graham's anomalies need decisions).
Law never_slower(const std::string& name, const Sets& better, double tolerance = 1e-6) {
  return {name, [better, tolerance](const std::string& text) {
            return at_most(step(text, in_place(better), Sharing::ideal), step(text, in_place({}), Sharing::ideal),
                           "better is slower", tolerance);
          }};
}

std::string doubled_batch(const std::string& text) {
  const int sequences = stated(text, "sequences");
  const double once = step(text, in_place({}));
  const double twice = step(text, in_place({fmt::format("training.batch.sequences={}", 2 * sequences)}));
  const std::string longer = at_most(once, twice, "twice the batch is quicker");
  return longer.empty() ? at_most(twice, 2 * once, "twice the batch takes more than twice as long", 1e-6) : longer;
}

std::string step_parts_sum(const std::string& text) {
  const Report report = run_text(text, {}, quick());
  double sum = 0;
  for (const char* part :
       {"forward_s", "backward_input_s", "backward_weight_s", "overlapped_s", "bubble_s", "optimizer_s"})
    sum += value_of(report, std::string("training.") + part);
  return equal(sum, value_of(report, "training.step_time_s"), "parts of the step");
}

std::string folded_is_unfolded(const std::string& text) {
  if (stated(text, "nodes") > 2) throw Skip{};  // every GPU is replayed
  RunSettings every = quick();
  every.unfolded = true;
  return equal(step(text), value_of(run_text(text, {}, every), "training.step_time_s"), "folded and unfolded", 1e-9);
}

std::string straggler(const std::string& text) {
  const double usual = step(text), speed = 0.8;
  const double slowed = step(text, {"cluster.slow[0].gpu=0", fmt::format("cluster.slow[0].speed={}", speed)});
  const std::string least = at_most(usual, slowed, "a slow GPU speeds the step up", 1e-6);
  return least.empty() ? at_most(slowed, usual / speed, "a slow GPU costs more than its slowness", 1e-6) : least;
}

std::string zero_stages(const std::string& text) {
  double before = INFINITY;
  for (int stage = 0; stage <= 3; ++stage) {
    const double now = memory(text, {fmt::format("training.plan.zero_stage={}", stage)});
    if (now > before * (1 + kRounding))
      return fmt::format("ZeRO-{} needs {:.6g} B, the stage before {:.6g}", stage, now, before);
    before = now;
  }
  return {};
}

std::string critical_path(const std::string& text) {
  const Report report = run_text(text, {}, quick());
  const double length = value_of(report, "training.critical_path.length_s");
  return equal(length, value_of(report, "training.step_time_s"), "critical path and step", 1e-6);
}

}  // namespace

std::vector<Law> training_laws() {
  return {
      {"every number is finite", [](const std::string& t) { return all_finite(run_text(t, {}, quick())); }},
      {"the same input gives the same bytes", [](const std::string& t) { return same_bytes(t, quick()); }},
      {"the parts of a step sum to it", step_parts_sum},
      {"the critical path is as long as the step", critical_path},
      {"folded replays equal unfolded ones", folded_is_unfolded},
      {"links without contention are a lower bound",
       [](const std::string& t) { return at_most(step(t, {}, Sharing::ideal), step(t), "the ideal is slower", 1e-6); }},
      {"twice the batch takes between once and twice as long", doubled_batch},
      {"a straggler costs at most its slowness", straggler},
      {"a later ZeRO stage needs no more memory", zero_stages},
      {"MFU is a share",
       [](const std::string& t) {
         return within(0, value_of(run_text(t, {}, quick()), "training.mfu_bf16_causal"), 1, "MFU");
       }},
      {"the tokens of a step are its sequences",
       [](const std::string& t) {
         return equal(value_of(run_text(t, {}, quick()), "training.tokens_per_step"),
                      static_cast<double>(stated(t, "sequences")) * stated(t, "sequence_length"), "tokens");
       }},
      {"tokens per day are tokens per step over its time",
       [](const std::string& t) {
         const Report r = run_text(t, {}, quick());
         return equal(value_of(r, "training.tokens_per_day"),
                      value_of(r, "training.tokens_per_step") / value_of(r, "training.step_time_s") * 86400,
                      "tokens per day");
       }},
      {"no GPU computes longer than the step",
       [](const std::string& t) {
         const Report r = run_text(t, {}, quick());
         return at_most(value_of(r, "training.compute_busy_s"), value_of(r, "training.step_time_s"), "computing");
       }},
      {"the capacity of memory changes no time",
       [](const std::string& t) {
         return equal(step(t, in_place({"cluster.gpu_override.hbm_capacity=\"1 TB\""})), step(t, in_place({})),
                      "with a larger memory");
       }},
      never_slower("more NVLink is never slower", {"cluster.node_override.nvlink_bandwidth=\"2 TB/s per direction\""}),
      never_slower("faster NICs are never slower", {"cluster.node_override.nic_bandwidth=\"400 GB/s per direction\""}),
      never_slower("more HBM bandwidth is never slower",
                   {"cluster.gpu_override.scale[0].field=\"hbm_bandwidth\"", "cluster.gpu_override.scale[0].by=2"}),
      never_slower("more FLOPS are never slower",
                   {"cluster.gpu_override.scale[0].field=\"bf16_peak\"", "cluster.gpu_override.scale[0].by=2"}),
      {"compute at half its speed at most doubles the step",
       [](const std::string& t) {
         const double usual = step(t, {}, Sharing::ideal), slow = step(t, {"training.efficiency=0.5"}, Sharing::ideal);
         const std::string least = at_most(usual, slow, "slower compute is faster");
         return least.empty() ? at_most(slow, 2 * usual, "more than twice as long", 1e-6) : least;
       }},
      {"computing layers again saves memory and takes time",
       [](const std::string& t) {
         if (has(t, "recompute")) throw Skip{};
         const Sets again{"training.recompute.full_layer=true"};
         const std::string more =
             at_most(memory(t, in_place(again)), memory(t, in_place({})), "recomputing needs more memory");
         return more.empty() ? at_most(step(t, in_place({}), Sharing::ideal), step(t, in_place(again), Sharing::ideal),
                                       "recomputing is quicker", 1e-6)
                             : more;
       }},
      {"longer sequences need no less memory and time",
       [](const std::string& t) {
         const Sets longer{fmt::format("training.batch.sequence_length={}", 2 * stated(t, "sequence_length"))};
         const std::string less =
             at_most(memory(t, in_place({})), memory(t, in_place(longer)), "twice the length needs less memory");
         return less.empty() ? at_most(step(t, in_place({}), Sharing::ideal), step(t, in_place(longer), Sharing::ideal),
                                       "twice the length is quicker")
                             : less;
       }},
      {"FP8 operands need no more bytes than BF16",
       [](const std::string& t) {
         return at_most(memory(t, {"training.precision.activations=fp8"}), memory(t),
                        "kept in FP8, activations need more");
       }},
      {"fewer layers are never slower",
       [](const std::string& t) {
         return at_most(step(t, {"model_override.layers=16"}, Sharing::ideal), step(t, {}, Sharing::ideal),
                        "fewer layers are slower", 1e-6);
       }},
      {"an H800 with an H100's links is an H100",
       [](const std::string& t) {
         if (!has(t, "hgx-h800")) throw Skip{};
         std::string other = t;
         other.replace(other.find("hgx-h800"), 8, "hgx-h100");
         return equal(step(t, {"cluster.node_override.nvlink_bandwidth=\"450 GB/s per direction\""}), step(other),
                      "H800 with the links of an H100, and H100");
       }},
      {"twice the price costs twice as much",
       [](const std::string& t) {
         const std::string run = t + "run { phase { name: \"all\" tokens: \"1B\" } }\n";
         return equal(value_of(run_text(run, {"price.gpu=\"4 USD/h\""}, quick()), "projection.cost_usd"),
                      2 * value_of(run_text(run, {}, quick()), "projection.cost_usd"), "cost");
       }},
      {"a run's undisturbed GPU-hours are its steps",
       [](const std::string& t) {
         const std::string run = t + "run { phase { name: \"all\" tokens: \"1B\" } }\n";
         const Report r = run_text(run, {}, quick());
         const double steps = 1e9 / value_of(r, "training.tokens_per_step");
         const double hours = steps * value_of(r, "training.step_time_s") / 3600 * value_of(r, "scenario.gpus");
         const std::string steady =
             equal(value_of(r, "projection.phases[all].steady_gpu_hours"), hours, "undisturbed GPU-hours", 1e-6);
         return steady.empty() ? at_most(hours, value_of(r, "projection.gpu_hours"), "interruptions save time", 1e-6)
                               : steady;
       }},
      {"a share of the step waits, none of it twice",
       [](const std::string& t) {
         const Report r = run_text(t, {}, quick());
         const double s = value_of(r, "training.step_time_s");
         const std::string bubble = within(0, value_of(r, "training.bubble_s") / s, 1, "bubble");
         return bubble.empty() ? within(0, value_of(r, "training.exposed_communication_s") / s, 1, "exposed") : bubble;
       }},
  };
}

}  // namespace flopcast::testing
