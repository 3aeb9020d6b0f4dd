#include "analysis/render/chart/timeline_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>

#include "analysis/render/chart/svg.h"
#include "analysis/render/text/escape.h"
#include "analysis/render/text/format.h"

namespace flopcast {
namespace {

/// Little-endian groups of 7 bits, as protocol buffers have them.
void put_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

void put_signed(std::string& out, std::int64_t value) {
  put_varint(out, (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63));
}

}  // namespace

std::uint32_t TimelineView::add_row(std::string group, std::string label) {
  rows_.push_back({std::move(group), std::move(label)});
  return static_cast<std::uint32_t>(rows_.size() - 1);
}

std::uint16_t TimelineView::add_name(std::string name, Tone tone) {
  names_.push_back({std::move(name), tone});
  return static_cast<std::uint16_t>(names_.size() - 1);
}

void TimelineView::add(std::uint32_t row, double start, double end, std::uint16_t name, const Tags& tags) {
  assert(row < rows_.size() && name < names_.size() && end >= start);
  events_.push_back({row, name, start, end, tags});
  end_ = std::max(end_, end);
}

// Per row: how many events, then of each the gap since the last one's end (which may be negative: transfers can run at
// once), its length, its name and tags, each of them as a difference to the last.
std::string TimelineView::packed(double unit) const {
  std::vector<std::uint32_t> order(events_.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    const Event &x = events_[a], &y = events_[b];
    return x.row != y.row ? x.row < y.row : x.start < y.start;
  });
  const auto ticks = [unit](double seconds) { return static_cast<std::int64_t>(std::llround(seconds / unit)); };
  std::string out;
  auto next = order.begin();
  for (std::uint32_t row = 0; row < rows_.size(); ++row) {
    const auto end = std::find_if(next, order.end(), [&](std::uint32_t e) { return events_[e].row != row; });
    put_varint(out, static_cast<std::uint64_t>(end - next));
    std::int64_t last = 0;
    Tags tags{};
    for (; next != end; ++next) {
      const Event& event = events_[*next];
      const std::int64_t start = ticks(event.start), stop = ticks(event.end);
      put_signed(out, start - last);
      put_varint(out, static_cast<std::uint64_t>(stop - start));
      put_varint(out, event.name);
      for (std::size_t tag = 0; tag < std::min(tags_.size(), kTags); ++tag)
        put_signed(out, static_cast<std::int64_t>(event.tags[tag]) - static_cast<std::int64_t>(tags[tag]));
      tags = event.tags;
      last = stop;
    }
  }
  return out;
}

/// What the colours of the events mean, in the order of the palette.
std::vector<ChartKey> TimelineView::key() const {
  static constexpr std::array<std::string_view, 7> kMeanings = {
      "forward", "backward", "weight gradient", "", "communication", "waiting", "optimiser and other work"};
  std::array<bool, kTones> used{};
  for (const Event& event : events_) {
    const Tone tone = names_[event.name].tone;
    if (tone == Tone::overlapped) used[static_cast<std::size_t>(Tone::forward)] = true;
    used[static_cast<std::size_t>(tone == Tone::overlapped ? Tone::backward : tone)] = true;
  }
  std::vector<ChartKey> out;
  for (std::size_t tone = 0; tone < kMeanings.size(); ++tone)
    if (used[tone]) out.push_back({static_cast<Tone>(tone), std::string(kMeanings[tone])});
  return out;
}

std::string TimelineView::html(const std::string& label, double row_height, const std::string& still) const {
  const double unit = end_ > 1 ? 1e-7 : 1e-9;  // a microsecond's tenth in steps of seconds: two bytes a length
  std::string head = fmt::format("{{\"unit\":{},\"end\":{},\"row\":{},\"still\":{},\"tags\":[", unit, end_, row_height,
                                 script_quoted(still));
  for (std::size_t i = 0; i < tags_.size(); ++i) head += (i ? "," : "") + script_quoted(tags_[i]);
  head += "],\"rows\":[";
  for (std::size_t i = 0; i < rows_.size(); ++i)
    head += fmt::format("{}[{},{}]", i ? "," : "", script_quoted(rows_[i].group), script_quoted(rows_[i].label));
  head += "],\"names\":[";
  for (std::size_t i = 0; i < names_.size(); ++i)
    head += fmt::format("{}[{},\"{}\"]", i ? "," : "", script_quoted(names_[i].name), row_of(names_[i].tone).name);
  head += "],\"events\":\"" + base64(packed(unit)) + "\"}";
  return fmt::format(
      "<div class=\"viewer\" hidden>\n<div class=\"bar\"></div>\n{}<canvas tabindex=\"0\" role=\"img\" "
      "aria-label=\"{}\"></canvas>\n<p class=\"told\" aria-live=\"polite\"></p>\n"
      "<script type=\"application/json\">{}</script>\n</div>\n",
      still.empty() ? svg::key(key()) : "",  // else it is beside the picture
      html_escaped(
          fmt::format("{}: {} events. Arrow keys move, plus and minus zoom, 0 shows all, n and p go from event "
                      "to event.",
                      label, format_integer(static_cast<double>(events_.size())))),
      head);
}

}  // namespace flopcast
