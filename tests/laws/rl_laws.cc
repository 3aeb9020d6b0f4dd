// What holds for every loop of reinforcement learning, whatever its figures.
#include "tests/laws/law_parts.h"

namespace flopcast::testing {
namespace {

constexpr const char* kParts[] = {"generation_s", "reward_s",       "handover_s", "log_probs_s", "reference_s",
                                  "values_s",     "reward_model_s", "teacher_s",  "update_s",    "critic_update_s",
                                  "host_s",       "drain_s",        "sync_s"};

double rl(const Report& report, const std::string& what) { return value_of(report, "rl." + what); }

bool runs_ahead(const std::string& text) { return has(text, "asynchrony"); }

std::string parts_sum(const std::string& text) {
  const Report report = run_text(text);
  double sum = 0;
  for (const char* part : kParts) sum += rl(report, part);
  return equal(sum, rl(report, "step_time_s"), "parts of the step", 1e-6);
}

std::string shares_sum(const std::string& text) {
  const Report report = run_text(text);
  double sum = 0;
  for (const char* share : {"gpu_busy", "idle_tail", "idle_waiting", "idle_moving", "idle_imbalance", "idle_host"}) {
    if (const std::string wrong = within(0, rl(report, share), 1, share); !wrong.empty()) return wrong;
    sum += rl(report, share);
  }
  return equal(sum, 1, "shares of the GPUs' time", 1e-6);
}

std::string staleness(const std::string& text) {
  const Report report = run_text(text);
  const int bound = runs_ahead(text) ? stated(text, "staleness") : 0;
  const std::string most = at_most(rl(report, "staleness_most"), bound, "staleness of an answer");
  return most.empty() ? at_most(rl(report, "staleness"), rl(report, "staleness_most"), "mean staleness") : most;
}

/// A synchronous step has nothing beside what is made free, so that it can only become shorter; but for the order in
/// which answers are there, which decides how they are packed for an update.
Law never_longer(const std::string& name, const Sets& better) {
  constexpr double kPacking = 0.005;
  return {name, [better](const std::string& text) {
            if (runs_ahead(text)) throw Skip{};
            return at_most(figure(text, "rl.step_time_s", better), figure(text, "rl.step_time_s"), "better is slower",
                           kPacking);
          }};
}

}  // namespace

std::vector<Law> rl_laws() {
  return {
      {"every number is finite", [](const std::string& t) { return all_finite(run_text(t)); }},
      {"the same input gives the same bytes", [](const std::string& t) { return same_bytes(t); }},
      {"the parts of a step sum to it", parts_sum},
      {"shares of the GPUs' time sum to one", shares_sum},
      {"no answer is staler than the loop allows", staleness},
      {"a step trains on as many answers as it asks for",
       [](const std::string& t) {
         return equal(figure(t, "rl.answers"), static_cast<double>(stated(t, "prompts")) * stated(t, "group"),
                      "answers");
       }},
      {"tokens per second are tokens over the step",
       [](const std::string& t) {
         const Report r = run_text(t);
         return equal(rl(r, "tokens_per_s"), (rl(r, "prompt_tokens") + rl(r, "answer_tokens")) / rl(r, "step_time_s"),
                      "tokens per second", 1e-6);
       }},
      {"the longest answer is no shorter than the mean",
       [](const std::string& t) {
         const Report r = run_text(t);
         return at_most(rl(r, "mean_answer_tokens"), rl(r, "longest_answer_tokens"), "mean length");
       }},
      {"weights arrive no faster than the network and the loader allow",
       [](const std::string& t) {
         const Report r = run_text(t);
         for (const char* part : {"sync.gather_s", "sync.host_s", "sync.network_s", "sync.load_s", "sync.fixed_s"}) {
           if (const std::string wrong = at_most(rl(r, part), rl(r, "sync.total_s"), part); !wrong.empty())
             return wrong;
         }
         return at_most(rl(r, "sync.received_bytes"), rl(r, "sync.weight_bytes"), "bytes into a GPU of the engine");
       }},
      {"memory of the models is the sum of theirs",
       [](const std::string& t) {
         const Report r = run_text(t);
         double sum = 0;
         for (const char* model : {"policy", "critic", "reference", "reward_model", "teacher"})
           sum += rl(r, fmt::format("memory.{}_bytes", model));
         return equal(sum, rl(r, "memory.models_bytes"), "bytes of all models");
       }},
      never_longer("rewards that take no time never lengthen a step", {"rl.reward.time=\"0 s\""}),
      never_longer("twice the workers for rewards never lengthen a step", {"rl.reward.workers=128"}),
      never_longer("faster loading of weights never lengthens a step",
                   {"rl.sync.load_rate=\"1000 GB/s\"", "rl.sync.expert_load_rate=\"1000 GB/s\""}),
      {"host time is added to a synchronous step",
       [](const std::string& t) {
         if (runs_ahead(t)) throw Skip{};
         const double more = figure(t, "rl.step_time_s", {"rl.host_time=\"3 s\""});
         return equal(more, figure(t, "rl.step_time_s") + 3, "with three seconds on the host", 1e-6);
       }},
      {"another seed keeps the answers of fixed length",
       [](const std::string& t) {
         if (has(t, "log_normal")) throw Skip{};
         return equal(figure(t, "rl.answer_tokens"), figure(t, "rl.answer_tokens", {"rl.seed=4711"}), "tokens");
       }},
  };
}

}  // namespace flopcast::testing
