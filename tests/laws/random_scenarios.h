// Random plans and deployments. Each is made of a row of choices, so that one that breaks a law can be made smaller:
// smaller choices give a smaller scenario.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "flopcast/environment.h"
#include "flopcast/report.h"
#include "flopcast/run.h"

namespace flopcast::testing {

/// Where a random scenario takes its decisions from: a generator, or a row of choices made before. The first
/// possibility of each is the plainest.
class Choices {
 public:
  explicit Choices(std::uint64_t seed) : random_(seed) {}
  explicit Choices(std::vector<std::uint32_t> given) : given_(std::move(given)), random_(0), replaying_(true) {}

  /// 0 ... possibilities - 1.
  std::uint32_t below(std::uint32_t possibilities);
  template <class T>
  T one_of(const std::vector<T>& values) {
    return values[below(static_cast<std::uint32_t>(values.size()))];
  }
  bool yes() { return below(2) == 1; }
  const std::vector<std::uint32_t>& made() const { return made_; }

 private:
  std::vector<std::uint32_t> given_, made_;
  std::mt19937_64 random_;
  bool replaying_ = false;
};

/// A scenario text: 8 to 64 GPUs, a step that is replayed in milliseconds. May be refused.
std::string random_training(Choices& choices);
/// The same of a deployment: a few hundred requests.
std::string random_serving(Choices& choices);
/// The same of a loop: a few hundred answers.
std::string random_loop(Choices& choices);
/// Of a collective among 2 to 64 GPUs.
std::string random_collective(Choices& choices);

/// Runs a scenario text in this process. @throws InputError what `resolve_text` and `run` throw.
Report run_text(const std::string& text, const std::vector<std::string>& sets = {}, const RunSettings& settings = {});

/// The value of a metric. @throws std::out_of_range where there is none.
double value_of(const Report& report, const std::string& metric);

/// What has to hold: nothing, or how it does not. `Skip` says that the scenario is none the law speaks of.
struct Skip {};
struct Law {
  std::string name;
  std::function<std::string(const std::string& scenario)> violation;
};
std::vector<Law> training_laws();
std::vector<Law> serving_laws();
std::vector<Law> rl_laws();
std::vector<Law> collective_laws();

/// Holds a law against `draws` random scenarios that it speaks of. @return nothing, or the smallest scenario found that
/// breaks it, with what it breaks and the seed.
std::string broken(const Law& law, const std::function<std::string(Choices&)>& scenario, int draws, std::uint64_t seed);

}  // namespace flopcast::testing
