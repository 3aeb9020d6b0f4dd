// How a replay went, and what was predicted beside what was published: parts of reports of every kind.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "scenarios/resolve/scenario.h"
#include "sim/replay.h"

namespace flopcast {

/// A figure beside the one that was published.
struct Comparison {
  std::string field;  ///< path in the report, `training.step_time_s`
  double predicted = 0;
  double published = 0;
  std::string source;
  PublishedKind kind = PublishedKind::value;
  /// Whether a prediction can be near it or far from it: neither what went in nor a bound is such a figure.
  bool is_prediction() const { return kind == PublishedKind::value && has_error(); }
  bool is_bound() const { return kind == PublishedKind::at_least || kind == PublishedKind::at_most; }
  bool keeps_bound() const { return kind == PublishedKind::at_least ? predicted >= published : predicted <= published; }
  /// The last column of tables: "+2.3 %", "an input", "at least this: kept".
  std::string verdict() const;
  bool has_error() const { return published != 0; }
  double error() const { return predicted / published - 1.0; }
};

/// How the replay went, in numbers that are the same on every machine.
struct RunFacts {
  std::uint64_t operations = 0;
  std::uint64_t transfers = 0;
  std::uint64_t contended_flows = 0;
  std::uint64_t fingerprint = 0;
  std::size_t replayed_gpus = 0;
  bool folded = true;
  Sharing sharing = Sharing::max_min;
  Solver solver = Solver::in_process;
  /// Who shares out links among flows that meet, in a word: "shared" (this process), "simgrid" or "ideal" (nobody).
  std::string_view shared_by() const;
};

}  // namespace flopcast
