#include "analysis/runs/training/timeline/pipeline_picture.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "analysis/render/chart/svg.h"
#include "analysis/render/chart/timeline_view.h"
#include "analysis/render/text/format.h"

namespace flopcast {
namespace {

constexpr std::uint32_t kNone = 0xffffffffu;
constexpr std::size_t kMostBlocks = 12'000;  // drawn one by one
constexpr std::size_t kMostPasses = 30'000;  // in the viewer
constexpr double kLeft = 64, kPictureWidth = 1100, kTop = 44, kRow = 22, kBar = 18;

/// In the order of keys.
constexpr std::array<std::pair<Tone, std::string_view>, 4> kPassTones{{{Tone::forward, "forward (F)"},
                                                                       {Tone::backward, "backward (B, or B and W)"},
                                                                       {Tone::weight, "weight gradient (W)"},
                                                                       {Tone::optimizer, "gradients and optimiser"}}};

/// One path per colour keeps thousands of blocks small.
class TonePaths {
 public:
  void block(Tone tone, double x, double y, double width, double height) {
    fmt::format_to(std::back_inserter(path_[static_cast<std::size_t>(tone)]), "M{:.1f} {:.1f}h{:.1f}v{:.1f}h{:.1f}z", x,
                   y, width, height, -width);
  }
  /// @param write tone and path to an element.
  template <class Write>
  std::string svg(Write write) const {
    std::string out;
    for (std::size_t tone = 0; tone < kTones; ++tone) {
      if (!path_[tone].empty()) out += write(static_cast<Tone>(tone), path_[tone]);
    }
    return out;
  }

 private:
  std::array<std::string, kTones> path_;
};

std::string picture_text(double x, double y, std::string_view words, std::string_view anchor = "start") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor, words);
}

std::string picture_legend() {
  std::string out;
  double x = kLeft;
  for (const auto& [tone, name] : kPassTones) {
    out += fmt::format("<rect x=\"{:.1f}\" y=\"14\" width=\"12\" height=\"12\" fill=\"{}\"/>\n", x, row_of(tone).light);
    out += picture_text(x + 17, 24, name);
    x += 17 + 7.0 * static_cast<double>(name.size()) + 14;
  }
  return out + picture_text(x, 24, "two halves: overlapped");
}

/// The same for more blocks than a screen can show one by one: what runs in each column.
TonePaths coarse_paths_of(const PipelineTimes& times, double left, double width, double top) {
  TonePaths paths;
  const std::size_t columns = std::clamp<std::size_t>(kMostBlocks / std::max<std::size_t>(times.rows, 1), 100, 2000);
  const double column = width / static_cast<double>(columns);
  std::vector<std::vector<std::uint8_t>> tones_of(times.rows, std::vector<std::uint8_t>(columns, kTones));
  const auto paint = [&](std::size_t row, Seconds start, Seconds end, Tone tone) {
    if (end <= start || times.end <= Seconds(0)) return;
    const auto at = [&](Seconds t) {
      return std::min(columns, static_cast<std::size_t>(t / times.end * static_cast<double>(columns) + 0.5));
    };
    std::fill(tones_of[row].begin() + static_cast<std::ptrdiff_t>(at(start)),
              tones_of[row].begin() + static_cast<std::ptrdiff_t>(at(end)), static_cast<std::uint8_t>(tone));
  };
  for (const PipelineTimes::Block& b : times.blocks) paint(b.row, b.start, b.end, tone_of(b.pass.kind));
  for (const PipelineTimes::Ending& e : times.endings) paint(e.row, e.start, e.end, Tone::optimizer);
  for (std::size_t row = 0; row < times.rows; ++row) {
    for (std::size_t c = 0, next = 0; c < columns; c = next) {
      for (next = c + 1; next < columns && tones_of[row][next] == tones_of[row][c];) ++next;
      if (tones_of[row][c] == kTones) continue;
      const double x = left + static_cast<double>(c) * column, wide = static_cast<double>(next - c) * column;
      const double y = top + static_cast<double>(row) * kRow;
      if (static_cast<Tone>(tones_of[row][c]) == Tone::overlapped) {
        paths.block(Tone::forward, x, y, wide, kBar / 2);
        paths.block(Tone::backward, x, y + kBar / 2, wide, kBar / 2);
      } else {
        paths.block(static_cast<Tone>(tones_of[row][c]), x, y, wide, kBar);
      }
    }
  }
  return paths;
}

/// Blocks of all rows, times and rows scaled.
TonePaths paths_of(const PipelineTimes& times, double left, double width, double top) {
  if (times.blocks.size() > kMostBlocks) return coarse_paths_of(times, left, width, top);
  TonePaths paths;
  const auto x = [&](Seconds t) { return left + width * (times.end > Seconds(0) ? t / times.end : 0.0); };
  const auto y = [&](std::size_t row) { return top + static_cast<double>(row) * kRow; };
  std::vector<Seconds> cursor(times.rows);
  for (const PipelineTimes::Block& block : times.blocks) {
    if (block.end <= block.start) continue;
    // The tail of a pass may run beside the start of the next; what overlaps is drawn with the first.
    const Seconds start = std::max(block.start, cursor[block.row]);
    cursor[block.row] = std::max(cursor[block.row], block.end);
    const double from = x(start), wide = std::max(0.1, x(block.end) - from);
    if (block.pass.kind == PassKind::overlapped) {
      paths.block(Tone::forward, from, y(block.row), wide, kBar / 2);
      paths.block(Tone::backward, from, y(block.row) + kBar / 2, wide, kBar / 2);
    } else {
      paths.block(tone_of(block.pass.kind), from, y(block.row), wide, kBar);
    }
  }
  for (const PipelineTimes::Ending& ending : times.endings)
    paths.block(Tone::optimizer, x(ending.start), y(ending.row), std::max(0.1, x(ending.end) - x(ending.start)), kBar);
  return paths;
}

std::string pass_words(PassKind kind) {
  switch (kind) {
    case PassKind::forward:
      return "forward";
    case PassKind::backward:
      return "backward";
    case PassKind::backward_input:
      return "backward, input gradients";
    case PassKind::backward_weight:
      return "weight gradients";
    case PassKind::overlapped:
      return "forward beside a backward";
  }
  return {};
}

TimelineView view_of(const PipelineTimes& times) {
  TimelineView view({"stage", "micro-batch"});
  std::array<std::uint16_t, 5> names{};
  for (const PassKind kind : {PassKind::forward, PassKind::backward, PassKind::backward_input,
                              PassKind::backward_weight, PassKind::overlapped})
    names[static_cast<std::size_t>(kind)] = view.add_name(pass_words(kind), tone_of(kind));
  for (std::size_t row = 0; row < times.rows; ++row) view.add_row(fmt::format("rank {}", row), "");
  for (const PipelineTimes::Block& block : times.blocks) {
    if (block.end <= block.start || view.size() >= kMostPasses) continue;
    const auto stage = static_cast<std::uint32_t>(times.stage_of[block.row][block.pass.chunk]);
    view.add(static_cast<std::uint32_t>(block.row), block.start.value(), block.end.value(),
             names[static_cast<std::size_t>(block.pass.kind)], {stage, block.pass.micro_batch, 0});
  }
  const std::uint16_t ending = view.add_name("gradients and optimiser", Tone::optimizer);
  for (const PipelineTimes::Ending& e : times.endings)
    view.add(static_cast<std::uint32_t>(e.row), e.start.value(), e.end.value(), ending, {});
  return view;
}

DataTable pass_table(const PipelineTimes& times) {
  struct Row {
    std::size_t passes = 0;
    Seconds first{1e300}, last, busy, cursor;
  };
  std::vector<Row> rows(times.rows);
  for (const PipelineTimes::Block& b : times.blocks) {
    if (b.end <= b.start) continue;
    Row& row = rows[b.row];
    ++row.passes;
    row.first = std::min(row.first, b.start);
    row.last = std::max(row.last, b.end);
    row.busy += std::max(Seconds(0), b.end - std::max(b.start, row.cursor));
    row.cursor = std::max(row.cursor, b.end);
  }
  DataTable table{{"rank", "passes", "first begins", "last ends", "in passes", "waiting between them"},
                  {},
                  {Align::right, Align::right, Align::right, Align::right, Align::right, Align::right}};
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const Row& row = rows[r];
    if (row.passes == 0) continue;
    table.rows.push_back({fmt::format("{}", r), fmt::format("{}", row.passes), format_time(row.first),
                          format_time(row.last), format_time(row.busy), format_time(row.last - row.first - row.busy)});
  }
  return table;
}

}  // namespace

Tone tone_of(PassKind kind) {
  switch (kind) {
    case PassKind::forward:
      return Tone::forward;
    case PassKind::backward:
    case PassKind::backward_input:
      return Tone::backward;
    case PassKind::backward_weight:
      return Tone::weight;
    case PassKind::overlapped:
      return Tone::overlapped;
  }
  return Tone::bubble;
}

Tone tone_of(OpName name) {
  switch (name) {
    case OpName::attention_forward:
    case OpName::mlp_forward:
    case OpName::embedding_forward:
    case OpName::head_forward:
    case OpName::mtp_projection_forward:
    case OpName::shared_forward:
      return Tone::forward;
    case OpName::mlp_backward:
    case OpName::attention_backward:
    case OpName::head_backward:
    case OpName::mtp_projection_backward:
    case OpName::embedding_backward:
    case OpName::shared_backward:
      return Tone::backward;
    case OpName::mlp_weight:
    case OpName::attention_weight:
    case OpName::head_weight:
    case OpName::mtp_projection_weight:
      return Tone::weight;
    case OpName::gradient_norm:
    case OpName::optimizer:
    case OpName::barrier:
    case OpName::host:
      return Tone::optimizer;
    default:
      return Tone::communication;
  }
}

PipelinePictureSink::PipelinePictureSink(const TrainingStep& step)
    : row_of_lane_(step.graph.lane_count(), -1), block_of_op_(step.graph.size(), kNone) {
  times_.rows = static_cast<std::size_t>(step.schedule.ranks);
  times_.stage_of = step.schedule.stage_of;
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
              static_cast<std::uint32_t>(times_.blocks.size()));
    times_.blocks.push_back({static_cast<std::size_t>(rank.pipeline_rank), pass.pass, Seconds(1e300), Seconds(0)});
  }
}

void PipelinePictureSink::finished(const OperationGraph& graph, const OpSpan& span) {
  const LaneId lane = graph.lane(span.op);
  if (!lane.valid() || row_of_lane_[lane.index()] < 0) return;
  times_.end = std::max(times_.end, span.end);
  const std::uint32_t block = block_of_op_[span.op.index()];
  if (block == kNone) {
    const auto name = static_cast<OpName>(graph.label(span.op).kind);
    times_.endings.push_back({static_cast<std::size_t>(row_of_lane_[lane.index()]), name, span.start, span.end});
    return;
  }
  times_.blocks[block].start = std::min(times_.blocks[block].start, span.start);
  times_.blocks[block].end = std::max(times_.blocks[block].end, span.end);
}

std::string picture_svg(const PipelineTimes& times) {
  const double height = kTop + static_cast<double>(times.rows) * kRow + 34;
  const auto x = [&](Seconds t) { return kLeft + kPictureWidth * (times.end > Seconds(0) ? t / times.end : 0.0); };
  const auto y = [&](std::size_t row) { return kTop + static_cast<double>(row) * kRow; };
  std::string out = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {:.0f} {:.0f}\" font-family=\"sans-serif\" "
      "font-size=\"12\" fill=\"#333\" role=\"img\" aria-label=\"Pipeline of {} ranks\">\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
      kLeft + kPictureWidth + 24, height, times.rows);
  out += picture_legend();
  for (std::size_t row = 0; row < times.rows; ++row) {
    out += picture_text(kLeft - 8, y(row) + 13, fmt::format("rank {}", row), "end");
    out += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"#f0f0f0\"/>\n", kLeft,
                       y(row), kPictureWidth, kBar);
  }
  out += paths_of(times, kLeft, kPictureWidth, kTop).svg([](Tone tone, const std::string& path) {
    return fmt::format("<path fill=\"{}\" stroke=\"#fff\" stroke-width=\".6\" d=\"{}\"/>\n", row_of(tone).light, path);
  });
  const double step = round_step(std::max(times.end.value() / 8, 1e-12));
  for (int tick = 0; tick * step <= times.end.value(); ++tick)
    out += picture_text(x(Seconds(tick * step)), y(times.rows) + 16, fmt::format("{:.4g} s", tick * step), "middle");
  return out + "</svg>\n";
}

Drawing drawing_of(const PipelineTimes& times, double bubble) {
  Drawing drawing;
  if (times.blocks.empty()) return drawing;
  constexpr double kScale = 10'000, kLabels = 60;
  drawing.id = "pipeline";
  drawing.title = fmt::format("Ranks of the pipeline stand still for {} of the step", format_percent(bubble));
  drawing.caption =
      "A row per pipeline rank, a block per pass; empty is waiting, two halves are a forward beside a backward. Drag "
      "to "
      "move, double-click or + to zoom, point at a block for its times.";
  drawing.description =
      fmt::format("{} passes of {} ranks over {}, to scale.", times.blocks.size(), times.rows, format_time(times.end));
  if (times.blocks.size() > kMostPasses)
    drawing.caption += fmt::format(" Of {} passes the first {} can be pointed at.",
                                   format_integer(static_cast<double>(times.blocks.size())),
                                   format_integer(static_cast<double>(kMostPasses)));
  std::vector<ChartKey> key;
  for (const auto& [tone, name] : kPassTones) {
    const bool there =
        tone == Tone::optimizer
            ? !times.endings.empty()
            : std::any_of(times.blocks.begin(), times.blocks.end(), [t = tone](const auto& b) {
                return tone_of(b.pass.kind) == t || (b.pass.kind == PassKind::overlapped && t != Tone::weight);
              });
    if (there) key.push_back({tone, std::string(name)});
  }
  drawing.key = svg::key(key);
  const double height = static_cast<double>(times.rows) * kRow;
  std::string plot;
  for (std::size_t row = 0; row < times.rows; ++row) {
    const double y = static_cast<double>(row) * kRow;
    plot += svg::rect(0, y, 1, kBar, "track", "");
    plot += svg::text(0, y + 13, fmt::format("rank {}", row), "end", "", -8);
  }
  plot += svg::grid(
      Axis(0, times.end.value(), 7), 0, height, [](double s) { return fmt::format("{:.4g} s", s); },
      svg::kNarrow - kLabels, svg::kWide - kLabels);
  const Axis axis(0, times.end.value(), 7);  // ends at a round time, and the blocks before it
  plot += fmt::format(
      "<svg viewBox=\"0 0 {:.0f} {:.0f}\" preserveAspectRatio=\"none\" width=\"100%\" height=\"{:.0f}\">\n{}</svg>\n",
      kScale, height, height,
      paths_of(times, 0, kScale * axis.at(times.end.value()), 0).svg([](Tone tone, const std::string& path) {
        return fmt::format("<path class=\"t-{}\" d=\"{}\"/>\n", row_of(tone).name, path);
      }));
  drawing.svg = std::move(plot);
  drawing.left = kLabels;
  drawing.right = drawing.right_narrow = 4;
  drawing.height = height + 24;
  drawing.after = view_of(times).html(drawing.title, kRow, drawing.id);
  drawing.table = pass_table(times);
  return drawing;
}

}  // namespace flopcast
