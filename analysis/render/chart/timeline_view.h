// A timeline inside a page: rows of events, to be zoomed, pointed at and walked through by keyboard. Events take some
// ten bytes each; viewer_script() (page.h) draws them.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "analysis/render/chart/chart.h"
#include "analysis/render/chart/palette.h"

namespace flopcast {

class TimelineView {
 public:
  static constexpr std::size_t kTags = 3;
  using Tags = std::array<std::uint32_t, kTags>;

  /// @param tags what the numbers of an event mean: {"stage", "micro-batch", "layer"}; fewer: the rest is not shown.
  explicit TimelineView(std::vector<std::string> tags) : tags_(std::move(tags)) {}

  /// @param group rows of one group are shown together: "rank 3". @return its index
  std::uint32_t add_row(std::string group, std::string label);
  std::uint16_t add_name(std::string name, Tone tone);
  /// Times in seconds from 0 on.
  void add(std::uint32_t row, double start, double end, std::uint16_t name, const Tags& tags);

  std::size_t size() const { return events_.size(); }
  std::size_t rows() const { return rows_.size(); }

  /// The viewer and its data; it stays hidden until the script runs. @param still id of what it takes the place of,
  /// empty: of nothing.
  std::string html(const std::string& label, double row_height, const std::string& still) const;

 private:
  struct Row {
    std::string group, label;
  };
  struct Name {
    std::string name;
    Tone tone;
  };
  struct Event {
    std::uint32_t row;
    std::uint16_t name;
    double start, end;
    Tags tags;
  };
  std::string packed(double unit) const;
  std::vector<ChartKey> key() const;
  std::vector<std::string> tags_;
  std::vector<Row> rows_;
  std::vector<Name> names_;
  std::vector<Event> events_;
  double end_ = 0;
};

}  // namespace flopcast
