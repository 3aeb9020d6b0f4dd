// What the progress line says.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

namespace flopcast {

/// "replaying the step: 12 %", "searching plans: 7 %": a stage that says itself what is done is not replayed.
/// @param all 0: nobody knows how much there is, and no share is said.
std::string progress_text(const std::string& stage, std::uint64_t done, std::uint64_t all);

/// How fast a stage goes, and how long it still takes: since its work began, not since it was announced, for it may
/// have been prepared in between; by its latter half, for what is recent says more of what is to come than a slow
/// beginning.
class StagePace {
 public:
  /// @param seconds of any clock. @param done 0: still preparing.
  void mark(double seconds, std::uint64_t done);
  /// Per second; 0: not known yet.
  double rate() const;
  /// Nothing within the first two seconds and three hundredths, when an estimate would be off by a multiple.
  std::optional<double> seconds_left(std::uint64_t all) const;

 private:
  struct Mark {
    double seconds = 0;
    std::uint64_t done = 0;
  };
  std::optional<Mark> begin_;
  Mark earlier_, later_, now_;
};

}  // namespace flopcast
