// A scenario after reading, look-ups and checks: one immutable value. Nobody downstream looks at a file again.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hwmodels/fabric/cluster.h"
#include "scenarios/read/text/date.h"
#include "scenarios/resolve/money.h"
#include "sim/base/fields.h"
#include "sim/base/units.h"
#include "workloads/training/training.h"

namespace flopcast {

class Places;

/// How a published figure stands to a prediction (scenarios/proto/scenario.proto).
enum class PublishedKind : std::uint8_t { value, input, at_least, at_most };
constexpr std::array<std::string_view, 4> enum_names(PublishedKind) {
  return {"value", "input", "at_least", "at_most"};
}

struct KernelCalibration;
struct LinkCalibration;
struct ServingScenario;  // scenarios/resolve/serving/serving_scenario.h
struct RlScenario;       // scenarios/resolve/rl/rl_scenario.h

/// A part of a training run with its own batch and length. Predicted from replays, or given where nothing is known.
struct TrainingPhase {
  std::string name;                       ///< e.g. "pre-training"
  double tokens = 0;                      ///< to be trained on; 0 when gpu_hours is given
  BatchConfig batch;                      ///< its final batch
  std::int64_t ramp_from_sequences = 0;   ///< batch at the start of the ramp; 0: no ramp
  double ramp_tokens = 0;                 ///< tokens over which the batch grows linearly
  ParallelPlan plan;                      ///< of this phase (context extension uses context parallelism)
  std::optional<double> given_gpu_hours;  ///< an input, shown as such, not a prediction
  std::string source;

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("name", &TrainingPhase::name, {"run"});
    field("tokens", &TrainingPhase::tokens, {"run"});
    field("batch", &TrainingPhase::batch, {.resolved = true});
    field("ramp_from_sequences", &TrainingPhase::ramp_from_sequences, {"run"});
    field("ramp_tokens", &TrainingPhase::ramp_tokens, {"run"});
    field("plan", &TrainingPhase::plan, {.resolved = true});
    field("given_gpu_hours", &TrainingPhase::given_gpu_hours, {"run"});
    field("source", &TrainingPhase::source, {kLabel});
  }
};

/// Interruptions and checkpoints. What each part does to a job: analysis/runs/training/goodput.h.
struct ResilienceConfig {
  double failures_per_gpu_hour = 0;
  Seconds checkpoint_interval;
  Seconds checkpoint_write;  ///< time training stands still per checkpoint
  Seconds restart;           ///< from failure to the first new step, without lost work
  std::string source;
  Seconds checkpoint_read;        ///< before training goes on, on top of `restart`
  std::optional<int> hot_spares;  ///< nodes that stand by; none: a replacement is always at hand
  double hardware_share = 0;      ///< of the failures: those that take a node out of service
  Seconds spare_swap;             ///< on top of `restart`, when a spare takes a node's place
  Seconds repair;                 ///< until a broken node is back among the spares
  double planned_interruptions_per_day = 0;
  Seconds planned_pause;  ///< of each, without writing and reading its checkpoint
  std::uint64_t seed = 0;
  int replays = 0;      ///< 0: the closed form only
  bool stated = false;  ///< the scenario says something of all this

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("failure_rate", &ResilienceConfig::failures_per_gpu_hour, {"life"});
    field("checkpoint_interval", &ResilienceConfig::checkpoint_interval, {"life"});
    field("checkpoint_write", &ResilienceConfig::checkpoint_write, {"life"});
    field("restart", &ResilienceConfig::restart, {"life"});
    field("source", &ResilienceConfig::source, {kLabel});
    field("checkpoint_read", &ResilienceConfig::checkpoint_read, {"life"});
    field("hot_spares", &ResilienceConfig::hot_spares, {"life"});
    field("hardware_share", &ResilienceConfig::hardware_share, {"life"});
    field("spare_swap", &ResilienceConfig::spare_swap, {"life"});
    field("repair", &ResilienceConfig::repair, {"life"});
    field("planned_interruptions_per_day", &ResilienceConfig::planned_interruptions_per_day, {"life"});
    field("planned_pause", &ResilienceConfig::planned_pause, {"life"});
    field("seed", &ResilienceConfig::seed, {"life"});
    field("replays", &ResilienceConfig::replays, {"life"});
    field("stated", &ResilienceConfig::stated, {.cause = kLabel, .resolved = true});
  }
};

/// The life of a job on the cluster, whatever it computes: `cluster_life { ... }`. One of the two is given.
struct ClusterLifeConfig {
  std::optional<Seconds> elapsed;  ///< look at it for so long
  std::optional<Seconds> useful;   ///< until it has trained for so long

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("elapsed", &ClusterLifeConfig::elapsed, {"life"});
    field("useful", &ClusterLifeConfig::useful, {"life"});
  }
};

/// A collective on its own, to look at a fabric: `collective { ... }` instead of `training { ... }`.
struct CollectiveConfig {
  std::string operation;  ///< row of collectives(): "all_to_all", "ring_all_reduce", ...
  Bytes bytes;            ///< per rank: the buffer that is reduced, gathered or exchanged
  int ranks = 0;
  int copies = 1;              ///< how many run at once on the same ports
  bool measured_links = true;  ///< false: links at their full rate, no software time

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("operation", &CollectiveConfig::operation, {"collective"});
    field("bytes", &CollectiveConfig::bytes, {"collective"});
    field("ranks", &CollectiveConfig::ranks, {"collective"});
    field("copies", &CollectiveConfig::copies, {"collective"});
    field("measured_links", &CollectiveConfig::measured_links, {"collective"});
  }
};

struct Scenario {
  std::string name;
  std::string title;
  std::string file;
  ClusterSpec cluster;
  std::optional<TrainingConfig> training;
  std::optional<CollectiveConfig> collective;
  std::optional<ClusterLifeConfig> cluster_life;
  std::optional<GivenServiceConfig> given_service;
  std::shared_ptr<const ServingScenario> serving;
  std::shared_ptr<const RlScenario> rl;  ///< holds the file's `training` too
  std::vector<TrainingPhase> phases;
  ResilienceConfig resilience;
  PriceConfig price;
  std::optional<Date> date;  ///< that prices, rules and launches are held against
  std::optional<ProgrammeConfig> programme;
  std::optional<MarketConfig> market;
  UncertaintyConfig uncertainty;
  /// Published figures to compare with, by report field: {"training.step_time_s", 19.926, "arXiv ..."}.
  struct Published {
    std::string field;
    double value;
    std::string source;
    PublishedKind kind = PublishedKind::value;

    template <class Visitor>
    static constexpr void describe(Visitor& described) {
      described("field", &Published::field, {kLabel});
      described("value", &Published::value, {kLabel});
      described("source", &Published::source, {kLabel});
      described("kind", &Published::kind, {kLabel});
    }
  };
  std::vector<Published> published;
  /// The command line changed what is run: `published` is of the file's own run, not of this one.
  bool run_changed = false;
  /// The command line, or a study, put another chip in place of the one that the file states a price for: that chip.
  /// Empty: `price.gpu` is the price of the chip that works, as far as anybody can know.
  std::string priced_for;
  /// Where its fields stand: what a replay finds wrong is said with its place too.
  std::shared_ptr<const Places> places;
  std::shared_ptr<const KernelCalibration> kernels;
  std::shared_ptr<const LinkCalibration> links;
  /// What the reader of a report should know about these inputs.
  std::vector<std::string> notes;
  /// Settings that the file did not state, as `path = value`: the report prints the defaults it used.
  std::vector<std::string> defaults_used;

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("name", &Scenario::name, {kLabel});
    field("title", &Scenario::title, {kLabel});
    field.aside(&Scenario::file, "name");
    field("cluster", &Scenario::cluster, {.resolved = true});
    field("training", &Scenario::training, {.resolved = true});
    field("collective", &Scenario::collective, {.resolved = true});
    field("cluster_life", &Scenario::cluster_life, {.resolved = true});
    field("given_service", &Scenario::given_service, {.resolved = true});
    field("serving", &Scenario::serving, {.resolved = true});
    field("rl", &Scenario::rl, {.resolved = true});
    field("run", &Scenario::phases, {.cause = "run", .resolved = true});
    field("resilience", &Scenario::resilience, {.resolved = true});
    field("price", &Scenario::price, {.resolved = true});
    field("date", &Scenario::date, {.cause = "money", .resolved = true});
    field("programme", &Scenario::programme, {.resolved = true});
    field("market", &Scenario::market, {.resolved = true});
    field("uncertainty", &Scenario::uncertainty, {.resolved = true});
    field("published", &Scenario::published, {.cause = kLabel, .resolved = true});
    field.aside(&Scenario::run_changed, "the fields that were changed");
    field.aside(&Scenario::priced_for, "the fields that were changed");
    field.aside(&Scenario::places, "the file's text");
    field.aside(&Scenario::kernels, "calibration");
    field.aside(&Scenario::links, "calibration");
    field.aside(&Scenario::notes, "the fields they are about");
    field.aside(&Scenario::defaults_used, "the fields they are about");
  }
};

}  // namespace flopcast
