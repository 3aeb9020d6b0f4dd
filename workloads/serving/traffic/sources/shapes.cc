#include "workloads/serving/traffic/sources/shapes.h"

#include <algorithm>

#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

class DrawnShapes final : public ShapeSource {
 public:
  DrawnShapes(const DrawnLengths& lengths, const ClassSeed& seed)
      : lengths_(lengths), random_(seed.stream(ClassSeed::lengths)) {}
  void next(TraceRecord& record) override {
    record.input_tokens = lengths_.input.draw_whole(random_, 1);
    record.output_tokens = lengths_.output.draw_whole(random_, 1);
  }
  void archive(StateArchive& state) override { state(random_); }

 private:
  DrawnLengths lengths_;
  RandomStream random_;
};

class TraceShapes final : public ShapeSource {
 public:
  TraceShapes(const TraceTraffic& trace, const ClassSeed& seed) : trace_(trace, seed, true) {}
  void next(TraceRecord& record) override { trace_.next(record); }
  int block_tokens() const override { return trace_.block_tokens(); }
  void archive(StateArchive& state) override { state(trace_); }

 private:
  RepeatingTrace trace_;
};

}  // namespace

std::unique_ptr<ShapeSource> drawn_shapes(const DrawnLengths& lengths, const ClassSeed& seed) {
  return std::make_unique<DrawnShapes>(lengths, seed);
}

std::unique_ptr<ShapeSource> trace_shapes(const TraceTraffic& trace, const ClassSeed& seed) {
  return std::make_unique<TraceShapes>(trace, seed);
}

RepeatingTrace::RepeatingTrace(const TraceTraffic& trace, const ClassSeed& seed, bool repeat)
    : trace_(trace), seed_(seed), repeat_(repeat), reader_(std::make_unique<TraceReader>(trace.options)) {
  const auto gaps = static_cast<double>(std::max<std::uint64_t>(trace.summary.requests, 2) - 1);
  pass_length_ = trace.summary.duration + trace.summary.duration / gaps;
}

void RepeatingTrace::renumber(PrefixBlocks& blocks) const {
  const std::uint64_t shift = seed_.block(pass_ * (trace_.summary.largest_block + 1));
  if (shift == 0 || blocks.empty()) return;
  PrefixBlocks renumbered;
  for (const PrefixBlocks::Run& run : blocks.runs()) renumbered.append_run(shift + run.first, run.count);
  blocks = std::move(renumbered);
}

void RepeatingTrace::archive(StateArchive& state) {
  std::uint64_t given = given_;
  state(pass_, given);
  if (!state.reads()) return;
  reader_ = std::make_unique<TraceReader>(trace_.options);
  TraceRecord record;
  for (given_ = 0; given_ < given; ++given_) {
    TraceFaults faults(trace_.options.path);
    if (!reader_->next(record, faults)) break;
  }
}

bool RepeatingTrace::next(TraceRecord& record) {
  TraceFaults faults(trace_.options.path);
  bool there = reader_->next(record, faults);
  if (!there && repeat_) {
    reader_ = std::make_unique<TraceReader>(trace_.options);
    ++pass_;
    given_ = 0;
    there = reader_->next(record, faults);
    if (!there) {
      throw InputError(
          Diagnostic{.file = trace_.options.path, .found = "no request", .expected = "those of the first reading"});
    }
  }
  faults.throw_if_any();
  if (!there) return false;
  ++given_;
  record.at += pass_length_ * static_cast<double>(pass_);
  if (record.session != 0) record.session += static_cast<std::uint32_t>(pass_ * trace_.summary.sessions);
  renumber(record.blocks);
  return true;
}

}  // namespace flopcast
