// Do ranks that stop for messages always get on, and what does stopping cost?
#include "workloads/training/passes/pipeline_meetings.h"

#include <algorithm>
#include <limits>
#include <set>

#include "tests/catch.h"
#include "workloads/schedules/schedule_timing.h"

using namespace flopcast;

namespace {

/// When the last pass ends where ranks stop for messages that take no time; nothing if some never start.
double makespan_with_stops(const Schedule& schedule, const PassDurations& durations) {
  constexpr double kNever = std::numeric_limits<double>::infinity();
  const std::vector<PipelineMeeting> meetings = pipeline_meetings(schedule);
  std::vector<std::vector<double>> ends;
  for (const auto& order : schedule.order) ends.emplace_back(order.size(), kNever);
  const auto end = [&](int rank, std::size_t pass) { return ends[rank][pass]; };
  for (bool moved = true; moved;) {
    moved = false;
    for (int rank = 0; rank < schedule.ranks; ++rank) {
      for (std::size_t i = 0; i < ends[rank].size(); ++i) {
        if (ends[rank][i] < kNever) continue;
        double start = i > 0 ? end(rank, i - 1) : 0;
        for (const PipelineMeeting& m : meetings) {
          const bool waits = (m.sender == rank && m.made_by + 1 == i) || (m.receiver == rank && m.held == i);
          if (!waits) continue;
          start = std::max(start, end(m.sender, m.made_by));
          if (m.held > 0) start = std::max(start, end(m.receiver, m.held - 1));
        }
        if (start == kNever) break;
        ends[rank][i] = start + durations.of(schedule.order[rank][i].kind).value();
        moved = true;
      }
    }
  }
  double last = 0;
  for (const auto& of_rank : ends) last = std::max(last, of_rank.back());
  return last;
}

}  // namespace

TEST_CASE("ranks that stop for messages get through every schedule, none sooner than those that do not") {
  const PassDurations durations = PassDurations::plain(Seconds(1), Seconds(1.2), Seconds(0.8));
  for (const ScheduleRow& row : schedules()) {
    for (const int ranks : {2, 4, 8}) {
      for (const int rounds : {1, 3}) {
        const ScheduleRequest request{ranks, 2 * ranks, row.choose_chunks ? 2 : 1};
        if (!row.check(request).empty()) continue;
        CAPTURE(std::string(row.name), ranks, rounds);
        const Schedule schedule = in_rounds(row.build(request), rounds);
        CHECK(verify(schedule).empty());
        const double free = time_schedule(schedule, durations).makespan.value();
        const double stopping = makespan_with_stops(schedule, durations);
        REQUIRE(stopping < std::numeric_limits<double>::infinity());
        CHECK(stopping >= free * (1 - 1e-12));
        CHECK(stopping < 1.8 * free);
      }
    }
  }
}

TEST_CASE(
    "stopping costs 1F1B nothing where messages take no time, and interleaved 1F1B what it takes to fall into step") {
  // A rank of 1F1B hands on after F what its neighbour takes after B, a pass of which lies between them: nobody waits.
  const PassDurations durations = PassDurations::plain(Seconds(1), Seconds(1), Seconds(1));
  const auto both = [&](const char* name, ScheduleRequest request) {
    const Schedule schedule = find_schedule(name)->build(request);
    return std::pair(time_schedule(schedule, durations).makespan.value(), makespan_with_stops(schedule, durations));
  };
  const auto [free, stopping] = both("1f1b", {8, 64, 1});
  CHECK(stopping == Approx(free).epsilon(1e-12));
  // PyTorch's grid puts the forwards of all ranks on the same steps: what is lost does not grow with micro-batches.
  const auto [few_free, few] = both("interleaved_1f1b", {4, 16, 4});
  const auto [many_free, many] = both("interleaved_1f1b", {4, 64, 4});
  CHECK(few > few_free);
  CHECK(many - many_free == Approx(few - few_free).epsilon(1e-9));
}

TEST_CASE("a round is the whole schedule again, with micro-batches of its own") {
  const ScheduleRequest request{4, 8, 2};
  const ScheduleRow* row = find_schedule("interleaved_1f1b");
  const Schedule one = row->build(request), three = in_rounds(one, 3);
  CHECK(three.micro_batches == 24);
  std::set<int> seen;
  for (const Pass& pass : three.order[2]) seen.insert(pass.micro_batch);
  CHECK(seen.size() == 24);
  CHECK(peak_activations(three) == peak_activations(one));
  // Its bubble comes three times: all but what the last ranks of a round and the first of the next share.
  const PassDurations durations = PassDurations::plain(Seconds(1), Seconds(1), Seconds(1));
  const Schedule long_one = row->build({4, 24, 2});
  CHECK(time_schedule(three, durations).bubble(0) == 3 * time_schedule(long_one, durations).bubble(0));
}
