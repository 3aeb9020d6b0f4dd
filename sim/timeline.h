// What a replay reports while it runs. Sinks see every operation once, in order of its end; they keep
// what they need and no more, so that memory stays bounded by the sink, not by the run.
#pragma once
#include <cstdint>
#include <vector>

#include "sim/graph.h"

namespace flopcast {

struct OpSpan {
  OpId op;
  Seconds start;  ///< when its predecessors had ended (a transfer's latency is part of it)
  Seconds end;
};

class TimelineSink {
 public:
  virtual ~TimelineSink() = default;
  virtual void finished(const OperationGraph& graph, const OpSpan& span) = 0;
};

/// A hash over every (operation, start, end), rounded to the picosecond. Equal runs have equal fingerprints.
class FingerprintSink final : public TimelineSink {
 public:
  void finished(const OperationGraph& graph, const OpSpan& span) override;
  std::uint64_t value() const { return hash_; }

 private:
  std::uint64_t hash_ = 0;
};

/// Start and end of every operation, by OpId: what the critical path needs. 16 bytes per operation.
class SpanSink final : public TimelineSink {
 public:
  explicit SpanSink(const OperationGraph& graph) : start_(graph.size()), end_(graph.size()) {}
  void finished(const OperationGraph& graph, const OpSpan& span) override;
  Seconds start(OpId op) const { return start_[op.index()]; }
  Seconds end(OpId op) const { return end_[op.index()]; }

 private:
  std::vector<Seconds> start_, end_;
};

}  // namespace flopcast
