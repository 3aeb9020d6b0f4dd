#include "analysis/runs/training/pipeline_picture.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

namespace flopcast {
namespace {

constexpr std::uint32_t kNone = 0xffffffffu;
constexpr double kLeft = 64, kPictureWidth = 1100, kTop = 44, kRow = 22, kBar = 18;

struct Ink {
  std::string_view name, colour;
};
enum Kind { kForward, kBackward, kBackwardInput, kWeight, kOptimizer, kKinds };
constexpr std::array<Ink, kKinds> kInks{{{"forward (F)", "#4c78a8"},
                                         {"backward (B and W)", "#54a24b"},
                                         {"backward, input only (B)", "#9ecf95"},
                                         {"weight gradient (W)", "#eeca3b"},
                                         {"gradients and optimiser", "#b279a2"}}};

/// One path per colour keeps thousands of blocks small.
class Paths {
 public:
  void block(Kind kind, double x, double y, double width, double height) {
    fmt::format_to(std::back_inserter(path_[kind]), "M{:.1f} {:.1f}h{:.1f}v{:.1f}h{:.1f}z", x, y, width, height,
                   -width);
  }
  std::string svg() const {
    std::string out;
    for (int kind = 0; kind < kKinds; ++kind) {
      if (path_[kind].empty()) continue;
      out += fmt::format("<path fill=\"{}\" stroke=\"#fff\" stroke-width=\".6\" d=\"{}\"/>\n", kInks[kind].colour,
                         path_[kind]);
    }
    return out;
  }

 private:
  std::array<std::string, kKinds> path_;
};

std::string text(double x, double y, std::string_view words, std::string_view anchor = "start") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor, words);
}

/// The next of 1, 2, 5 times a power of ten.
double round_step(double at_least) {
  if (at_least <= 0) return 1;
  const double power = std::pow(10.0, std::floor(std::log10(at_least)));
  for (double digit : {1.0, 2.0, 5.0}) {
    if (digit * power >= at_least) return digit * power;
  }
  return 10 * power;
}

std::string legend() {
  std::string out;
  double x = kLeft;
  for (const Ink& ink : kInks) {
    out += fmt::format("<rect x=\"{:.1f}\" y=\"14\" width=\"12\" height=\"12\" fill=\"{}\"/>\n", x, ink.colour);
    out += text(x + 17, 24, ink.name);
    x += 17 + 7.0 * static_cast<double>(ink.name.size()) + 14;
  }
  return out + text(x, 24, "two halves: overlapped");
}

}  // namespace

PipelinePictureSink::PipelinePictureSink(const TrainingStep& step)
    : step_(step), row_of_lane_(step.graph.lane_count(), -1), block_of_op_(step.graph.size(), kNone) {
  if (step.ranks.empty()) return;
  const int replica = step.ranks.front().replica;
  for (const ReplayedRank& rank : step.ranks) {
    if (rank.replica != replica) continue;
    row_of_lane_[rank.compute.index()] = row_of_lane_[rank.communication.index()] = rank.pipeline_rank;
  }
  for (const PassRecord& pass : step.passes) {
    const ReplayedRank& rank = step.ranks[pass.rank];
    if (rank.replica != replica) continue;
    std::fill(block_of_op_.begin() + pass.first.index(), block_of_op_.begin() + pass.end.index(),
              static_cast<std::uint32_t>(blocks_.size()));
    blocks_.push_back({static_cast<std::size_t>(rank.pipeline_rank), pass.pass.kind, Seconds(1e300), Seconds(0)});
  }
}

void PipelinePictureSink::finished(const OperationGraph& graph, const OpSpan& span) {
  const LaneId lane = graph.lane(span.op);
  if (!lane.valid() || row_of_lane_[lane.index()] < 0) return;
  end_ = std::max(end_, span.end);
  const std::uint32_t block = block_of_op_[span.op.index()];
  if (block == kNone) {
    endings_.push_back({static_cast<std::size_t>(row_of_lane_[lane.index()]), span.start, span.end});
    return;
  }
  blocks_[block].start = std::min(blocks_[block].start, span.start);
  blocks_[block].end = std::max(blocks_[block].end, span.end);
}

std::string PipelinePictureSink::svg() const {
  const double rows = static_cast<double>(step_.schedule.ranks);
  const double height = kTop + rows * kRow + 34;
  const auto x = [&](Seconds t) { return kLeft + kPictureWidth * (end_ > Seconds(0) ? t / end_ : 0.0); };
  const auto y = [&](std::size_t row) { return kTop + static_cast<double>(row) * kRow; };

  std::string out = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {:.0f} {:.0f}\" font-family=\"sans-serif\" "
      "font-size=\"12\" fill=\"#333\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
      kLeft + kPictureWidth + 24, height);
  out += legend();
  for (std::size_t row = 0; row < static_cast<std::size_t>(step_.schedule.ranks); ++row) {
    out += text(kLeft - 8, y(row) + 13, fmt::format("rank {}", row), "end");
    out += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"#f0f0f0\"/>\n", kLeft,
                       y(row), kPictureWidth, kBar);
  }
  Paths paths;
  std::vector<Seconds> cursor(static_cast<std::size_t>(step_.schedule.ranks));
  for (const Block& block : blocks_) {
    if (block.end <= block.start) continue;
    // The tail of a pass may run beside the start of the next; what overlaps is drawn with the first.
    const Seconds start = std::max(block.start, cursor[block.row]);
    cursor[block.row] = std::max(cursor[block.row], block.end);
    const double left = x(start), width = std::max(0.1, x(block.end) - left), top = y(block.row);
    switch (block.kind) {
      case PassKind::forward:
        paths.block(kForward, left, top, width, kBar);
        break;
      case PassKind::backward:
        paths.block(kBackward, left, top, width, kBar);
        break;
      case PassKind::backward_input:
        paths.block(kBackwardInput, left, top, width, kBar);
        break;
      case PassKind::backward_weight:
        paths.block(kWeight, left, top, width, kBar);
        break;
      case PassKind::overlapped:
        paths.block(kForward, left, top, width, kBar / 2);
        paths.block(kBackward, left, top + kBar / 2, width, kBar / 2);
        break;
    }
  }
  for (const Ending& ending : endings_) {
    paths.block(kOptimizer, x(ending.start), y(ending.row), std::max(0.1, x(ending.end) - x(ending.start)), kBar);
  }
  out += paths.svg();
  const double axis = y(static_cast<std::size_t>(step_.schedule.ranks)) + 16;
  const double step = round_step(end_.value() / 8);
  for (int tick = 0; tick * step <= end_.value(); ++tick) {
    out += text(x(Seconds(tick * step)), axis, fmt::format("{:.4g} s", tick * step), "middle");
  }
  return out + "</svg>\n";
}

}  // namespace flopcast
