#include "analysis/cli/terminal/progress_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace flopcast {

std::string progress_text(const std::string& stage, std::uint64_t done, std::uint64_t all) {
  const bool says_what = stage.substr(0, stage.find(' ')).ends_with("ing");
  std::string text = (says_what ? "" : "replaying ") + stage;
  if (all > 0)
    text += fmt::format(": {:.0f} %", 100.0 * static_cast<double>(std::min(done, all)) / static_cast<double>(all));
  return text;
}

void StagePace::mark(double seconds, std::uint64_t done) {
  if (done == 0) return;
  now_ = {seconds, done};
  if (!begin_) begin_ = earlier_ = later_ = now_;
  if (seconds - begin_->seconds >= 2 * (later_.seconds - begin_->seconds)) earlier_ = std::exchange(later_, now_);
}

double StagePace::rate() const {
  const double span = now_.seconds - earlier_.seconds;
  return span > 0 && now_.done > earlier_.done ? static_cast<double>(now_.done - earlier_.done) / span : 0;
}

std::optional<double> StagePace::seconds_left(std::uint64_t all) const {
  constexpr double kFirst = 2, kShare = 0.03;
  if (!begin_ || rate() == 0 || now_.seconds - begin_->seconds < kFirst) return std::nullopt;
  if (static_cast<double>(now_.done) < kShare * static_cast<double>(all) || all == 0) return std::nullopt;
  return static_cast<double>(all - std::min(now_.done, all)) / rate();
}

}  // namespace flopcast
