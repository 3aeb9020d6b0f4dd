// The rows of the table of schedules, one per file of this folder.
#pragma once
#include "workloads/schedules/schedule.h"

namespace flopcast::rows {

ScheduleRow gpipe();
ScheduleRow one_forward_one_backward();
ScheduleRow interleaved_one_forward_one_backward();
ScheduleRow overlapped_one_forward_one_backward();
ScheduleRow zero_bubble_h1();
ScheduleRow zero_bubble_h2();
ScheduleRow zero_bubble_v();
ScheduleRow dualpipe();
ScheduleRow dualpipe_v();

}  // namespace flopcast::rows
