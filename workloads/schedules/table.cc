// The table of schedules. A new schedule is a file in this folder and a line here.
#include <algorithm>
#include <array>

#include "workloads/schedules/rows.h"

namespace flopcast {

std::span<const ScheduleRow> schedules() {
  static const std::array table{
      rows::gpipe(),
      rows::one_forward_one_backward(),
      rows::interleaved_one_forward_one_backward(),
      rows::overlapped_one_forward_one_backward(),
      rows::zero_bubble_h1(),
      rows::zero_bubble_h2(),
      rows::zero_bubble_v(),
      rows::dualpipe(),
      rows::dualpipe_v(),
  };
  return table;
}

std::int64_t stages_of(const ScheduleRow& schedule, int ranks, int chunks) {
  return std::int64_t{ranks} * (schedule.choose_chunks ? chunks : schedule.stages_per_rank);
}

const ScheduleRow* find_schedule(std::string_view name) {
  const auto table = schedules();
  const auto row = std::ranges::find(table, name, &ScheduleRow::name);
  return row == table.end() ? nullptr : &*row;
}

}  // namespace flopcast
