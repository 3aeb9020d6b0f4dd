// Do schedules obey their laws, whoever wrote them, and match what was published about them?
#include <algorithm>

#include "tests/catch.h"
#include "workloads/schedules/schedule.h"
#include "workloads/schedules/schedule_timing.h"

using namespace flopcast;

namespace {

std::vector<ScheduleRequest> requests() {
  std::vector<ScheduleRequest> out;
  for (const int ranks : {1, 2, 3, 4, 6, 8, 16}) {
    for (const int micro_batches : {1, 2, 3, 7, 8, 12, 16, 24, 32, 48, 121}) {
      for (const int chunks : {1, 2, 3}) out.push_back({ranks, micro_batches, chunks});
    }
  }
  return out;
}

Schedule build(std::string_view name, const ScheduleRequest& request) {
  const ScheduleRow* row = find_schedule(name);
  REQUIRE(row != nullptr);
  REQUIRE(row->check(request).empty());
  return row->build(request);
}

/// Calls `visit(row, request, schedule)` for every row and every request that it accepts.
template <class Visit>
void for_every_schedule(Visit visit) {
  for (const ScheduleRow& row : schedules()) {
    for (const ScheduleRequest& request : requests()) {
      if (!row.check(request).empty()) continue;
      INFO(row.name << ", " << request.ranks << " ranks, " << request.micro_batches << " micro-batches, "
                    << request.chunks << " chunks");
      visit(row, request, row.build(request));
    }
  }
}

double largest_bubble(const ScheduleTiming& timing) {
  double largest = 0;
  for (int rank = 0; rank < static_cast<int>(timing.busy.size()); ++rank) {
    largest = std::max(largest, timing.bubble(rank).value());
  }
  return largest;
}

double largest_gap(const ScheduleTiming& timing) {
  double largest = 0;
  for (int rank = 0; rank < static_cast<int>(timing.busy.size()); ++rank) {
    largest = std::max(largest, timing.gaps(rank).value());
  }
  return largest;
}

/// Counts per rank, as in the DualPipe tables.
struct PassCounts {
  int forward = 0, overlapped = 0, backward_input = 0, backward = 0, backward_weight = 0;
};
PassCounts count_passes(std::span<const Pass> order) {
  PassCounts counts;
  for (const Pass& pass : order) {
    switch (pass.kind) {
      case PassKind::forward:
        ++counts.forward;
        break;
      case PassKind::backward:
        ++counts.backward;
        break;
      case PassKind::backward_input:
        ++counts.backward_input;
        break;
      case PassKind::backward_weight:
        ++counts.backward_weight;
        break;
      case PassKind::overlapped:
        ++counts.overlapped;
        break;
    }
  }
  return counts;
}

PassDurations durations(double f, double b, double w) {
  return PassDurations::plain(Seconds(f), Seconds(b), Seconds(w));
}

std::vector<Diagnostic> complaints(const std::string& text, const ScheduleRequest& request) {
  try {
    parse_schedule(text, "order.txt", request);
  } catch (const InputError& error) {
    return error.diagnostics();
  }
  return {};
}

bool mentions(const std::vector<Diagnostic>& diagnostics, std::string_view text) {
  return std::ranges::any_of(diagnostics, [&](const Diagnostic& d) {
    return (d.found + "|" + d.expected + "|" + d.suggestion + "|" + d.remedy).find(text) != std::string::npos;
  });
}

}  // namespace

TEST_CASE("Every schedule obeys the laws of an order", "[schedule][property]") {
  std::size_t built = 0;
  for_every_schedule([&](const ScheduleRow& row, const ScheduleRequest& request, const Schedule& schedule) {
    ++built;
    const auto violations = verify(schedule);
    CAPTURE(violations.empty() ? "" : violations.front().found);
    CHECK(violations.empty());
    CHECK(schedule.name == row.name);
    CHECK(schedule.ranks == request.ranks);
    CHECK(schedule.micro_batches == request.micro_batches);
    CHECK(peak_activations(schedule) == schedule.declared_peak_activations);  // promised, and no more than needed
  });
  CHECK(built > 300);
}

TEST_CASE("Every schedule can be asked where a micro-batch meets a stage", "[schedule][property]") {
  for_every_schedule([](const ScheduleRow& row, const ScheduleRequest&, const Schedule& schedule) {
    for (const int micro_batch : {0, schedule.micro_batches - 1}) {
      const auto path = schedule.path(schedule.direction_of[micro_batch]);
      for (int stage = 0; stage < schedule.stages; ++stage) {
        const auto place = schedule.locate(stage, micro_batch);
        REQUIRE(schedule.stage_of[place.rank][place.chunk] == stage);
        REQUIRE(place.rank == path[stage].rank);
        REQUIRE(place.chunk == path[stage].chunk);
      }
    }
    CHECK((schedule.direction_of.back() == 1) == row.two_copies);
  });
}

TEST_CASE("A step takes at least the busiest rank and the longest chain", "[schedule][property]") {
  const PassDurations times = durations(1.0, 1.3, 0.7);
  for_every_schedule([&](const ScheduleRow&, const ScheduleRequest&, const Schedule& schedule) {
    const ScheduleTiming timing = time_schedule(schedule, times);
    REQUIRE(timing.stuck.empty());
    for (const Seconds busy : timing.busy) CHECK(timing.makespan >= busy - Seconds(1e-9));
    CHECK(timing.makespan.value() >= schedule.stages * (1.0 + 1.3) - 1e-9);
    // Without gain from overlap every rank does M times the work of each of its stages.
    const double work = schedule.micro_batches * 3.0;
    const double share = schedule.direction_of.back() == 1 ? 0.5 : 1.0;  // two copies share the micro-batches
    for (int rank = 0; rank < schedule.ranks; ++rank) {
      CHECK(timing.busy[rank].value() == Approx(share * work * static_cast<double>(schedule.stage_of[rank].size())));
    }
  });
}

TEST_CASE("All passes twice as slow make a step twice as long", "[schedule][property]") {
  for_every_schedule([](const ScheduleRow&, const ScheduleRequest&, const Schedule& schedule) {
    const double once = time_schedule(schedule, durations(1.1, 1.7, 0.9)).makespan.value();
    CHECK(time_schedule(schedule, durations(2.2, 3.4, 1.8)).makespan.value() == Approx(2 * once));
  });
}

TEST_CASE("DualPipe has the published number of passes per rank", "[schedule][validation]") {
  // deepseek-ai/DualPipe for 16 ranks and 120 micro-batches: lone F, pairs, input-only B, full B, W.
  const Schedule schedule = build("dualpipe", {16, 120, 1});
  struct Row {
    int k, forward, overlapped, backward_input, backward, backward_weight;
  };
  for (const Row& row :
       {Row{0, 23, 97, 15, 8, 15}, {3, 20, 100, 12, 8, 12}, {6, 17, 103, 9, 8, 9}, {7, 17, 103, 8, 9, 8}}) {
    for (const int rank : {row.k, 15 - row.k}) {
      CAPTURE(rank);
      const PassCounts counts = count_passes(schedule.order[rank]);
      CHECK(counts.forward == row.forward);
      CHECK(counts.overlapped == row.overlapped);
      CHECK(counts.backward_input == row.backward_input);
      CHECK(counts.backward == row.backward);
      CHECK(counts.backward_weight == row.backward_weight);
    }
  }
}

TEST_CASE("DualPipe's order on four ranks is the published one", "[schedule][golden]") {
  // Micro-batches 0..3 enter at rank 0, 4..7 at rank 3. Eight steps, separated by bars.
  const Schedule schedule = build("dualpipe", {4, 8, 1});
  const auto order = [&](int rank) {
    std::string text;
    for (const Pass& pass : schedule.order[rank]) text += (text.empty() ? "" : " ") + to_text(pass);
    return text;
  };
  CHECK(order(0) ==
        "F0.0 F1.0 "            // 1
        "F2.0 F4.1 "            // 2
        "I4.1 W4.1 F5.1 "       // 3
        "F3.0&B5.1 F6.1&B0.0 "  // 4
        "B6.1 F7.1&B1.0 "       // 5
        "B7.1 I2.0 "            // 6
        "W2.0 I3.0 "            // 7
        "W3.0");                // 8
  CHECK(order(1) ==
        "F0.0 F4.1 F1.0 F5.1 "                      // 2
        "F2.0 B4.1 F6.1&B0.0 F3.0&B5.1 F7.1&B1.0 "  // 4: the middle rank does not overlap its first pair
        "B6.1 B2.0 I7.1 I3.0 "                      // 6
        "W7.1 W3.0");                               // 8
}

TEST_CASE("Activations in flight stay within the published bounds", "[schedule][validation]") {
  const auto peak = [](std::string_view name, const ScheduleRequest& request) {
    return std::ranges::max(peak_activations(build(name, request)));
  };
  CHECK(peak("gpipe", {8, 32, 1}) == 32);
  CHECK(peak("1f1b", {8, 32, 1}) == 8);        // PP
  CHECK(peak("zb_h1", {8, 32, 1}) == 8);       // PP
  CHECK(peak("zb_h2", {8, 32, 1}) == 15);      // 2 PP - 1
  CHECK(peak("zb_v", {8, 32, 1}) == 16);       // PP, in halves of a rank's layers
  CHECK(peak("dualpipe", {8, 32, 1}) == 9);    // PP + 1
  CHECK(peak("dualpipev", {8, 32, 1}) == 17);  // PP + 1 with PP = 16 stages
}

TEST_CASE("1F1B, GPipe and interleaving have the bubble of their closed form for any durations",
          "[schedule][validation]") {
  const auto [f, b, w] =
      GENERATE(table<double, double, double>({{1, 1, 1}, {1, 2, 0.5}, {2, 1, 1}, {1.13, 1.99, 0.48}}));
  for (const std::string_view name : {"gpipe", "1f1b", "interleaved_1f1b"}) {
    for (const int ranks : {2, 4, 8}) {
      const ScheduleRequest request{ranks, 4 * ranks, name == "interleaved_1f1b" ? 3 : 1};
      CAPTURE(name, ranks, f, b, w);
      const ScheduleTiming timing = time_schedule(build(name, request), durations(f, b, w));
      const double closed = find_schedule(name)->closed_form_bubble(request, durations(f, b, w)).value();
      CHECK(largest_bubble(timing) == Approx(closed));
    }
  }
}

TEST_CASE("ZB1P has the bubble of its closed form when W takes no longer than the input gradient",
          "[schedule][validation]") {
  for (const int ranks : {2, 4, 8, 16}) {
    CAPTURE(ranks);
    const auto bubble = [&](double f, double b, double w) {
      return largest_bubble(time_schedule(build("zb_h1", {ranks, 4 * ranks, 1}), durations(f, b, w)));
    };
    const auto closed = [&](double f, double b, double w) {
      return find_schedule("zb_h1")->closed_form_bubble({ranks, 4 * ranks, 1}, durations(f, b, w)).value();
    };
    CHECK(bubble(1, 1, 1) == Approx(closed(1, 1, 1)));
    CHECK(bubble(1, 1.5, 0.5) == Approx(closed(1, 1.5, 0.5)));
    CHECK(bubble(1.13, 1.99, 0.48) == Approx(closed(1.13, 1.99, 0.48)));
    // A longer W ends the last rank later than the closed form knows.
    CHECK(bubble(1, 0.8, 1.2) > closed(1, 0.8, 1.2) + 1e-6);
  }
}

TEST_CASE("ZB-H2 and ZB-V have the gaps of their closed form: none when F, B and W take the same time",
          "[schedule][validation]") {
  const auto [f, b, w] =
      GENERATE(table<double, double, double>({{1, 1, 1}, {1, 1.2, 0.8}, {1, 2, 0.5}, {2, 1, 1}, {1.13, 1.99, 0.48}}));
  for (const std::string_view name : {"zb_h2", "zb_v"}) {
    for (const int ranks : {2, 4, 8}) {
      CAPTURE(name, ranks, f, b, w);
      const ScheduleRequest request{ranks, 4 * ranks, 1};
      const ScheduleTiming timing = time_schedule(build(name, request), durations(f, b, w));
      const double closed = find_schedule(name)->closed_form_bubble(request, durations(f, b, w)).value();
      CHECK(largest_gap(timing) == Approx(closed).margin(1e-9));
      if (f == b && b == w) CHECK(closed == 0.0);
    }
  }
}

TEST_CASE("DualPipe has the bubble of its closed form when F, B and W take the same time", "[schedule][validation]") {
  // Also when an overlapped pair takes less than its parts: the idlest rank then has the published bubble.
  const double pair = GENERATE(3.0, 2.75, 2.5);
  PassDurations times = durations(1, 1, 1);
  times.overlapped = Seconds(pair);
  for (const std::string_view name : {"dualpipe", "dualpipev"}) {
    for (const int ranks : {2, 4, 8, 16}) {
      CAPTURE(name, ranks, pair);
      const ScheduleRequest request{ranks, 4 * ranks, 1};
      const ScheduleTiming timing = time_schedule(build(name, request), times);
      const double closed = find_schedule(name)->closed_form_bubble(request, times).value();
      CHECK(largest_bubble(timing) == Approx(closed));
    }
  }
}

TEST_CASE("DualPipe's closed form is near, not exact, when F, B and W differ", "[schedule][validation]") {
  // Mean phase times of the public trace of four layers, ms: F 8.96, B 14.65, W 7.46, the pair 32.25.
  PassDurations times = durations(8.96, 14.65, 7.46);
  times.overlapped = Seconds(32.25);
  const ScheduleTiming timing = time_schedule(build("dualpipe", {16, 120, 1}), times);
  const double closed = find_schedule("dualpipe")->closed_form_bubble({16, 120, 1}, times).value();
  CHECK(largest_bubble(timing) == Approx(closed).epsilon(0.01));
  CHECK(largest_bubble(timing) != Approx(closed).epsilon(0.005));
  // A long W is the worst case: every one of the 3 W that the formula takes off would have to fit into a gap.
  const PassDurations long_w = durations(1, 0.8, 1.2);
  const double far_off = find_schedule("dualpipe")->closed_form_bubble({16, 120, 1}, long_w).value();
  CHECK(largest_bubble(time_schedule(build("dualpipe", {16, 120, 1}), long_w)) > 1.4 * far_off);
}

TEST_CASE("A request that cannot be scheduled is refused with one that can", "[schedule][unit]") {
  const auto refused = [](std::string_view name, const ScheduleRequest& request) {
    return find_schedule(name)->check(request);
  };
  SECTION("DualPipe needs an even number of ranks") {
    const auto faults = refused("dualpipe", {15, 120, 1});
    REQUIRE(faults.size() == 1);
    CHECK(faults[0].field == "training.plan.pipeline");
    CHECK(faults[0].remedy == "16 pipeline ranks, or schedule dualpipev");
  }
  SECTION("... and an even number of micro-batches, at least two per rank") {
    auto faults = refused("dualpipe", {16, 121, 1});
    REQUIRE(faults.size() == 1);
    CHECK(faults[0].field == "training.batch.sequences");
    CHECK(faults[0].remedy == "122 micro-batches per replica");
    CHECK(refused("dualpipe", {16, 122, 1}).empty());
    faults = refused("dualpipe", {16, 31, 1});
    REQUIRE(faults.size() == 1);
    CHECK(faults[0].remedy == "32 micro-batches per replica");
    CHECK(refused("dualpipe", {16, 32, 1}).empty());
    CHECK(refused("dualpipe", {16, 65535, 1}).at(0).remedy.empty());  // 65,536 are more than a schedule takes
  }
  SECTION("both faults at once") { CHECK(refused("dualpipe", {15, 4, 1}).size() == 2); }
  SECTION("interleaving goes in groups of as many micro-batches as ranks") {
    CHECK(refused("interleaved_1f1b", {8, 30, 2}).at(0).remedy == "32 micro-batches per replica");
    CHECK(refused("interleaved_1f1b", {8, 3, 2}).at(0).remedy == "8 micro-batches per replica");
    CHECK(refused("interleaved_1f1b", {8, 32, 1}).at(0).field == "training.plan.chunks");
  }
  SECTION("chunks where none can be chosen") {
    CHECK(refused("1f1b", {8, 32, 4}).at(0).field == "training.plan.chunks");
    CHECK(refused("dualpipe", {8, 32, 2}).empty());
  }
  SECTION("absurd sizes, for every row") {
    for (const ScheduleRow& row : schedules()) {
      CAPTURE(row.name);
      CHECK_FALSE(row.check({0, 32, 2}).empty());
      CHECK_FALSE(row.check({8, -1, 2}).empty());
      CHECK_FALSE(row.check({8, 1 << 30, 2}).empty());
      CHECK_FALSE(row.check({1 << 30, 1 << 30, 1 << 30}).empty());
      CHECK_FALSE(row.check({4096, 65535, 2}).empty());
    }
  }
}

TEST_CASE("verify() sees what is wrong with an order", "[schedule][unit]") {
  Schedule schedule = build("1f1b", {4, 8, 1});
  SECTION("a pass missing, and who waits for it") {
    schedule.order[2].erase(schedule.order[2].begin());  // F0
    const auto faults = verify(schedule);
    CHECK(mentions(faults, "no F of micro-batch 0 on stage 2"));
    CHECK(mentions(faults, "rank 3 waits at F0.0 for stage 2's F0"));
  }
  SECTION("a pass twice") {
    schedule.order[1].push_back(schedule.order[1].front());
    CHECK(mentions(verify(schedule), "F of micro-batch 0 on stage 1 a second time"));
  }
  SECTION("a circle: backward before its own forward") {
    std::ranges::reverse(schedule.order[3]);
    CHECK(mentions(verify(schedule), "rank 3 waits at B7.0 for stage 3's F7"));
  }
  SECTION("more activations than promised") {
    schedule.declared_peak_activations[0] = 3;
    CHECK(mentions(verify(schedule), "rank 0 holds 4 stage-activations"));
  }
  SECTION("chunks, micro-batches and stages that do not exist") {
    schedule.order[0][0].chunk = 5;
    schedule.order[1][0].micro_batch = 99;
    schedule.stage_of[2][0] = 77;
    const auto faults = verify(schedule);
    CHECK(mentions(faults, "chunks 0 to 0"));
    CHECK(mentions(faults, "micro-batches 0 to 7"));
    CHECK(mentions(faults, "stage 77 on rank 2"));
  }
  SECTION("a micro-batch that leaves its copy of the stages") {
    Schedule dual = build("dualpipe", {4, 8, 1});
    dual.order[0][0].micro_batch = 4;  // enters at the other end
    CHECK(mentions(verify(dual), "micro-batch 4 to meet stage 0 on rank 3, chunk 1"));
  }
  SECTION("never more than twenty at once") {
    for (auto& order : schedule.order) order.clear();
    CHECK(verify(schedule).size() <= 20);
  }
}

TEST_CASE("Every schedule survives being written and read", "[schedule][property]") {
  for_every_schedule([](const ScheduleRow&, const ScheduleRequest& request, const Schedule& schedule) {
    const Schedule back = parse_schedule(to_text(schedule), "order.txt", request);
    CHECK(back.order == schedule.order);
    CHECK(back.stage_of == schedule.stage_of);
    CHECK(back.stages == schedule.stages);
    CHECK(back.direction_of == schedule.direction_of);
    CHECK(back.overlaps == schedule.overlaps);
    CHECK(back.declared_peak_activations == schedule.declared_peak_activations);
  });
}

TEST_CASE("A user's order without stage lines goes round the ranks", "[schedule][unit]") {
  const Schedule schedule = parse_schedule(
      "# two ranks, two chunks each, one micro-batch\n"
      "0: F0 F0.1 B0.1 B0\n"
      "1: F0.0 F0.1 I0.1 W0.1 B0.0\r\n",
      "order.txt", {2, 1, 1});
  CHECK(schedule.stages == 4);
  CHECK(schedule.stage_of == std::vector<std::vector<int>>{{0, 2}, {1, 3}});
  CHECK(schedule.declared_peak_activations == std::vector<int>{2, 2});
}

TEST_CASE("What is wrong with a user's order is said with its place", "[schedule][unit]") {
  const ScheduleRequest request{2, 2, 1};
  const std::string good = "0: F0 F1 B0 B1\n1: F0 B0 F1 B1\n";
  REQUIRE(complaints(good, request).empty());

  SECTION("an unknown token") {
    const auto faults = complaints("0: F0 X1 B0 B1\n1: F0 B0 F1 Q\n", request);
    REQUIRE(faults.size() == 2);
    CHECK(faults[0].file == "order.txt");
    CHECK(faults[0].line == 1);
    CHECK(faults[0].column == 7);
    CHECK(faults[0].found == "'X1'");
    CHECK(faults[1].line == 2);
    CHECK(faults[1].column == 13);
  }
  SECTION("malformed numbers, chunks and pairs") {
    for (const std::string token :
         {"F", "F-1", "F1.", "F1.x", "F99999999999999999999", "F0&", "F0&F1", "B0&B1", "F0&B1&B1", "F 0"}) {
      CAPTURE(token);
      CHECK_FALSE(complaints("0: " + token + " F1 B0 B1\n1: F0 B0 F1 B1\n", request).empty());
    }
  }
  SECTION("micro-batches and chunks out of range") {
    CHECK(mentions(complaints("0: F0 F2 B0 B1\n1: F0 B0 F1 B1\n", request), "micro-batches 0 to 1"));
    CHECK(mentions(complaints("0: F0.64 F1 B0 B1\n1: F0 B0 F1 B1\n", request), "chunks 0 to 63"));
  }
  SECTION("lines missing, twice, for no rank, or without a colon") {
    CHECK(mentions(complaints("0: F0 F1 B0 B1\n", request), "no line for rank 1"));
    const auto twice = complaints(good + "1: F0\n", request);
    CHECK(mentions(twice, "rank 1 again"));
    CHECK(mentions(twice, "the first is line 2"));
    CHECK(mentions(complaints(good + "2: F0\n", request), "a rank, 0 to 1"));
    CHECK(mentions(complaints(good + "hello world\n", request), "'hello'"));
    CHECK(mentions(complaints(good + ": F0\n", request), "nothing before ':'"));
  }
  SECTION("a truncated file names what is missing and who waits") {
    const auto faults = complaints("0: F0 F1 B0 B1\n1: F0 B0\n", request);
    CHECK(mentions(faults, "no F and B and W of micro-batch 1 on stage 1"));
    CHECK(mentions(faults, "rank 0 waits at B1.0 for stage 1's B1"));
  }
  SECTION("a circle names every stuck rank, with line and column") {
    const auto faults = complaints("0: F0 B0 F1 B1\n1: F1 B1 F0 B0\n", request);
    REQUIRE(faults.size() == 2);
    CHECK(faults[0].found == "rank 0 waits at B0.0 for stage 1's B0");
    CHECK(faults[0].line == 1);
    CHECK(faults[0].column == 7);
    CHECK(faults[1].found == "rank 1 waits at F1.0 for stage 0's F1");
    CHECK(faults[1].line == 2);
    CHECK(faults[1].column == 4);
  }
  SECTION("weight gradients without their input gradient") {
    CHECK(mentions(complaints("0: F0 F1 W0 I0 B1\n1: F0 B0 F1 B1\n", request),
                   "rank 0 waits at W0.0 for its own input gradient"));
  }
  SECTION("stage lines") {
    CHECK(mentions(complaints("stages: 0: 0\n" + good, request), "not of rank 1"));
    CHECK(mentions(complaints("stages: 0: 0\nstages: 1: 5\n" + good, request), "stage 1 on 0 chunks"));
    CHECK(mentions(complaints("stages: 0: x\nstages: 1: 1\n" + good, request), "'x'"));
    CHECK(mentions(complaints("stages: 0: 999999999\nstages: 1: 1\n" + good, request), "'999999999'"));
    CHECK(mentions(complaints("stages: 0:\nstages: 1: 1\n" + good, request), "no stages"));
    CHECK(mentions(complaints("stages: 0 0\n" + good, request), "no second ':'"));
    CHECK(mentions(complaints("stages: 0: 0 1\nstages: 1: 0 1\nstages: 1: 0\n" + good, request), "rank 1 again"));
  }
  SECTION("nothing, and something that is not text") {
    CHECK(complaints("", request).size() == 2);
    CHECK_FALSE(complaints(std::string("\x7f"
                                       "ELF\0\1\2\3",
                                       8),
                           request)
                    .empty());
    CHECK(mentions(complaints(std::string("0: F0\0 F1\n", 10), request), "a control character (0)"));
    std::string noise;
    for (int i = 0; i < 4096; ++i) noise += static_cast<char>(i * 7919 >> 3);
    CHECK_FALSE(complaints(noise, request).empty());
    CHECK(complaints(noise, request).size() <= 20);
  }
  SECTION("absurd requests") {
    CHECK_FALSE(complaints(good, {1 << 30, 2, 1}).empty());
    CHECK_FALSE(complaints(good, {2, 0, 1}).empty());
  }
}

TEST_CASE("A huge order is refused before it fills the memory", "[schedule][unit]") {
  const ScheduleRequest request{2, 2, 1};
  std::string many = "0:";
  for (int i = 0; i < 13'000'000; ++i) many += " F0";
  CHECK(mentions(complaints(many, request), "more than 12000000 passes"));
}

TEST_CASE("An order that runs strictly one pass after another is still checked in linear time", "[schedule][unit]") {
  // Each micro-batch goes all the way down and back up before the next starts, with ranks listed the unlucky
  // way round.
  std::string text;
  for (int rank = 63; rank >= 0; --rank) {
    text += std::to_string(rank) + ":";
    for (int i = 0; i < 2000; ++i) text += " F" + std::to_string(i) + " B" + std::to_string(i);
    text += "\n";
  }
  CHECK(complaints(text, {64, 2000, 1}).empty());
}
