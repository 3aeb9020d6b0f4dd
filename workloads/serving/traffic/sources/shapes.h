// Lengths of requests, one after the other, drawn or from a trace; seeds and numbers of blocks of a class.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>

#include "sim/base/random.h"
#include "workloads/serving/traffic/trace_reader.h"
#include "workloads/serving/traffic/traffic.h"

namespace flopcast {

/// What keeps the random streams and block numbers of the classes of a traffic apart.
struct ClassSeed {
  std::uint64_t seed = 1;
  std::uint64_t index = 0;
  enum Purpose : std::uint64_t { arrivals, lengths, thinking, conversation };
  RandomStream stream(Purpose purpose, std::uint64_t number = 0) const {
    return RandomStream(seed, index << 56 | number << 8 | purpose);
  }
  /// 2^44 numbers of blocks to each class.
  static constexpr int kBlockBits = 44;
  std::uint64_t block(std::uint64_t number) const {
    return index << kBlockBits | (number & ((std::uint64_t{1} << kBlockBits) - 1));
  }
};

class ShapeSource {
 public:
  virtual ~ShapeSource() = default;
  /// Lengths and blocks of the next request; its time is not looked at.
  virtual void next(TraceRecord& record) = 0;
  virtual int block_tokens() const { return 0; }
  virtual void archive(StateArchive& state) = 0;
};

std::unique_ptr<ShapeSource> drawn_shapes(const DrawnLengths& lengths, const ClassSeed& seed);
std::unique_ptr<ShapeSource> trace_shapes(const TraceTraffic& trace, const ClassSeed& seed);

/// A trace from its beginning to its end, again and again.
class RepeatingTrace {
 public:
  RepeatingTrace(const TraceTraffic& trace, const ClassSeed& seed, bool repeat);
  /// False at the end of a trace that is not repeated. @throws InputError when the file is no longer what it
  /// was.
  bool next(TraceRecord& record);
  int block_tokens() const { return trace_.summary.format->block_tokens; }
  const std::string& path() const { return trace_.options.path; }
  int line() const { return reader_->line(); }  ///< of the last request
  /// Read: goes through the file again, up to where the written one was.
  void archive(StateArchive& state);

 private:
  void renumber(PrefixBlocks& blocks) const;
  TraceTraffic trace_;
  ClassSeed seed_;
  bool repeat_;
  std::unique_ptr<TraceReader> reader_;
  std::uint64_t pass_ = 0, given_ = 0;  // in this pass
  Seconds pass_length_;
};

}  // namespace flopcast
