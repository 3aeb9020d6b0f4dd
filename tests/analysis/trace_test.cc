// Is the trace one that a viewer opens, and does it show the replay?
#include "analysis/runs/training/timeline/trace.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <map>
#include <random>

#include "sim/replay.h"
#include "tests/analysis/small_step.h"
#include "tests/catch.h"

namespace flopcast {
namespace {

using Fields = google::protobuf::Map<std::string, google::protobuf::Value>;

std::string traced(const TrainingStep& step, std::set<int> gpus = {}) {
  std::string text;
  ChromeTraceSink sink(step, std::move(gpus), [&](std::string_view piece) { text += piece; });
  TimelineSink* const sinks[] = {&sink};
  replay(step.graph, Network(), sinks);
  sink.close();
  return text;
}

// The trace as any JSON reader sees it.
std::vector<Fields> events(const std::string& text) {
  google::protobuf::Struct document;
  REQUIRE(google::protobuf::util::JsonStringToMessage(text, &document).ok());
  std::vector<Fields> found;
  for (const auto& value : document.fields().at("traceEvents").list_value().values()) {
    found.push_back(value.struct_value().fields());
  }
  return found;
}

std::string text_of(const Fields& event, const std::string& name) { return event.at(name).string_value(); }
double number_of(const Fields& event, const std::string& name) { return event.at(name).number_value(); }

TEST_CASE("every operation is an event with its stage, micro-batch and times", "[analysis]") {
  const std::vector<Fields> all = events(traced(testing::two_ranks()));
  int complete = 0;
  for (const Fields& event : all) {
    if (text_of(event, "ph") != "X") continue;
    ++complete;
    CHECK(number_of(event, "ts") >= 0);
    CHECK(number_of(event, "ts") + number_of(event, "dur") <= 7.25e6);
    CHECK(number_of(event, "dur") > 0);
    if (text_of(event, "name").starts_with(training_op_names()[static_cast<std::size_t>(OpName::mlp_weight)])) {
      CHECK(text_of(event, "name") == training_op_names()[static_cast<std::size_t>(OpName::mlp_weight)]);
      CHECK(event.at("args").struct_value().fields().at("stage").number_value() == 1);
      CHECK(event.at("args").struct_value().fields().at("micro_batch").number_value() == 0);
      CHECK(number_of(event, "ts") == 4.5e6);
      CHECK(number_of(event, "dur") == 1e6);
      CHECK(number_of(event, "pid") == 1);
    }
  }
  CHECK(complete == 9);
  for (const Fields& event : all) {
    if (text_of(event, "ph") != "X") continue;
    const std::string name = training_op_names()[static_cast<std::size_t>(OpName::optimizer)];
    const bool optimizer = text_of(event, "name").starts_with(name);
    if (optimizer) CHECK(text_of(event, "name") == name);  // of all stages and micro-batches together
    CHECK(event.at("args").struct_value().fields().count("micro_batch") == (optimizer ? 0 : 1));
  }
}

TEST_CASE("events of a lane end before the next begins, added up as a viewer does", "[analysis]") {
  GraphBuilder builder(training_op_names());
  const LaneId lane = builder.add_lane(RankId(0), "compute");
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> some(1e-7, 3e-3);
  for (int i = 0; i < 3000; ++i) builder.compute(lane, Seconds(some(random)));
  TrainingStep step;
  step.graph = std::move(builder).build();
  std::vector<std::pair<double, double>> spans;  // start, duration
  for (const Fields& event : events(traced(step)))
    if (text_of(event, "ph") == "X") spans.emplace_back(number_of(event, "ts"), number_of(event, "dur"));
  REQUIRE(spans.size() == 3000);
  // speedscope takes the first time of a trace off before it adds: whichever that is, sums meet the next start.
  for (std::size_t first = 0; first + 1 < spans.size(); first += 100) {
    std::size_t off = 0;
    for (std::size_t i = first; i + 1 < spans.size(); ++i)
      off += (spans[i].first - spans[first].first) + spans[i].second != spans[i + 1].first - spans[first].first;
    CHECK(off == 0);
  }
}

TEST_CASE("arrows lead from the sender to the receiver of a pipeline transfer", "[analysis]") {
  std::map<double, Fields> from, to;
  for (const Fields& event : events(traced(testing::two_ranks()))) {
    if (text_of(event, "ph") == "s") from[number_of(event, "id")] = event;
    if (text_of(event, "ph") == "f") to[number_of(event, "id")] = event;
  }
  REQUIRE(from.size() == 2);
  REQUIRE(to.size() == 2);
  for (const auto& [id, start] : from) {
    CHECK(number_of(start, "pid") != number_of(to.at(id), "pid"));
    CHECK(number_of(start, "ts") < number_of(to.at(id), "ts"));
  }
}

TEST_CASE("a trace restricted to some GPUs holds only them", "[analysis]") {
  for (const Fields& event : events(traced(testing::two_ranks(), {1}))) {
    CHECK(number_of(event, "pid") == 1);
    CHECK(text_of(event, "ph") != "s");
  }
}

TEST_CASE("the same replay gives the same trace, byte for byte", "[analysis]") {
  CHECK(traced(testing::two_ranks()) == traced(testing::two_ranks()));
}

}  // namespace
}  // namespace flopcast
