// Is a Perfetto trace what Perfetto's parser takes: every slice closed, in its place, none on top of another?
#include <fmt/format.h>

#include <google/protobuf/unknown_field_set.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <regex>
#include <set>

#include "analysis/render/text/perfetto.h"
#include "analysis/runs/training/timeline/perfetto_trace.h"
#include "tests/analysis/program.h"
#include "tests/analysis/serving_scenarios.h"
#include "tests/catch.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;
using google::protobuf::UnknownField;
using google::protobuf::UnknownFieldSet;

/// A message without its schema.
struct Message : UnknownFieldSet {
  explicit Message(const std::string& bytes) { REQUIRE(ParseFromString(bytes)); }
};

/// Fields of a number; the schema of Perfetto's traces has the numbers.
std::vector<const UnknownField*> fields(const UnknownFieldSet& set, int number) {
  std::vector<const UnknownField*> out;
  for (int i = 0; i < set.field_count(); ++i) {
    if (set.field(i).number() == number) out.push_back(&set.field(i));
  }
  return out;
}
std::uint64_t varint(const UnknownFieldSet& set, int number) {
  const auto found = fields(set, number);
  return found.empty() ? 0 : found.front()->varint();
}
std::string text(const UnknownFieldSet& set, int number) {
  const auto found = fields(set, number);
  return found.empty() ? "" : found.front()->length_delimited();
}

struct ReadSlice {
  std::uint64_t track, start, end;
  std::string name, category;
  std::map<std::string, std::uint64_t> arguments;
  std::vector<std::uint64_t> flows_out, flows_in;
};
struct ReadTrace {
  std::map<std::uint64_t, std::pair<std::string, std::uint64_t>> tracks;  // name, parent
  std::vector<ReadSlice> slices;
  std::map<std::uint64_t, std::vector<std::pair<std::uint64_t, double>>> counts;
};

/// Reads a trace as Perfetto does: names by what was interned before, slices by track and order.
ReadTrace read_trace(const std::string& bytes) {
  ReadTrace out;
  std::map<std::uint64_t, std::string> names, categories, arguments;
  std::map<std::uint64_t, ReadSlice> open;
  const Message trace(bytes);
  bool cleared = false;
  for (const UnknownField* const field : fields(trace, 1)) {
    const Message packet(field->length_delimited());
    CHECK(varint(packet, 10) == 1);
    if (varint(packet, 13) == 1) cleared = true;
    for (const UnknownField* const interned : fields(packet, 12)) {
      const Message data(interned->length_delimited());
      for (auto [number, known] : {std::pair(1, &categories), {2, &names}, {3, &arguments}}) {
        for (const UnknownField* const entry : fields(data, number)) {
          const Message pair(entry->length_delimited());
          (*known)[varint(pair, 1)] = text(pair, 2);
        }
      }
    }
    for (const UnknownField* const descriptor : fields(packet, 60)) {
      const Message track(descriptor->length_delimited());
      out.tracks[varint(track, 1)] = {text(track, 2), varint(track, 5)};
    }
    for (const UnknownField* const event_field : fields(packet, 11)) {
      const Message event(event_field->length_delimited());
      const std::uint64_t track = varint(event, 11), at = varint(packet, 8);
      CHECK(cleared);
      CHECK(varint(packet, 13) == 2);
      REQUIRE(out.tracks.count(track) == 1);
      if (varint(event, 9) == 1) {
        CHECK(open.count(track) == 0);
        ReadSlice slice{track, at, 0, names.at(varint(event, 10)), categories.at(varint(event, 3)), {}, {}, {}};
        for (const UnknownField* const annotation : fields(event, 4)) {
          const Message argument(annotation->length_delimited());
          slice.arguments[arguments.at(varint(argument, 1))] = varint(argument, 3);
        }
        for (const UnknownField* const flow : fields(event, 47)) slice.flows_out.push_back(flow->fixed64());
        for (const UnknownField* const flow : fields(event, 48)) slice.flows_in.push_back(flow->fixed64());
        open[track] = std::move(slice);
      } else if (varint(event, 9) == 2) {
        REQUIRE(open.count(track) == 1);
        open[track].end = at;
        out.slices.push_back(open[track]);
        open.erase(track);
      } else {
        REQUIRE(varint(event, 9) == 4);
        double value = 0;
        const std::uint64_t bits = fields(event, 44).at(0)->fixed64();
        std::memcpy(&value, &bits, sizeof value);
        out.counts[track].emplace_back(at, value);
      }
    }
  }
  CHECK(open.empty());
  return out;
}

TEST_CASE("a step's trace: every slice closed, none on another, arrows that arrive, links within their rates",
          "[analysis][trace]") {
  const test::TemporaryFolder folder;
  const std::string scenario = folder.write("sparse.textproto", testing::kSparse),
                    file = folder.path() + "/step.perfetto";
  REQUIRE(testing::flopcast("run " + scenario + " --trace " + file).code == 0);
  const ReadTrace trace = read_trace(testing::contents(file));
  REQUIRE(trace.slices.size() > 100);
  std::map<std::uint64_t, std::vector<std::pair<std::uint64_t, std::uint64_t>>> by_track;
  std::set<std::uint64_t> sent, received;
  std::set<std::string> categories;
  for (const ReadSlice& slice : trace.slices) {
    by_track[slice.track].emplace_back(slice.start, slice.end);
    sent.insert(slice.flows_out.begin(), slice.flows_out.end());
    received.insert(slice.flows_in.begin(), slice.flows_in.end());
    categories.insert(slice.category);
    CHECK(slice.arguments.count("micro_batch") == 1);
    if (slice.name.starts_with("DISPATCH")) CHECK(slice.arguments.at("bytes") > 0);
    CHECK(trace.tracks.at(trace.tracks.at(slice.track).second).first.starts_with("GPU "));
  }
  for (auto& [track, spans] : by_track) {
    std::sort(spans.begin(), spans.end());
    for (std::size_t i = 1; i < spans.size(); ++i) CHECK(spans[i].first >= spans[i - 1].second);
  }
  CHECK_FALSE(sent.empty());
  CHECK(sent == received);
  for (const char* category : {"forward", "backward", "communication"}) CHECK(categories.count(category) == 1);
  REQUIRE_FALSE(trace.counts.empty());
  for (const auto& [track, counts] : trace.counts) {
    CAPTURE(trace.tracks.at(track).first);
    for (std::size_t i = 1; i < counts.size(); ++i) CHECK(counts[i].first >= counts[i - 1].first);
    // Mean rates of flows that share a link can overshoot it for a moment; at the end nothing is under way.
    CHECK(std::abs(counts.back().second) < 1e-6);
  }

  // The Chrome trace of the same run has the same slices, and a window some of them.
  const std::string chrome = folder.path() + "/step.json";
  REQUIRE(testing::flopcast("run " + scenario + " --trace " + chrome).code == 0);
  const std::string json = testing::contents(chrome);
  std::size_t events = 0;
  for (auto at = json.find("\"ph\":\"X\""); at != std::string::npos; at = json.find("\"ph\":\"X\"", at + 1)) ++events;
  CHECK(events == trace.slices.size());
  REQUIRE(
      testing::flopcast("run " + scenario + " --trace " + file + " --trace-window 10ms..20ms --trace-ranks 0").code ==
      0);
  const ReadTrace part = read_trace(testing::contents(file));
  REQUIRE_FALSE(part.slices.empty());
  CHECK(part.slices.size() < trace.slices.size());
  for (const ReadSlice& slice : part.slices) CHECK((slice.end > 10'000'000 && slice.start < 20'000'000));

  // Arrows of a window have both their ends, in both formats, wherever it begins and ends.
  std::uint64_t end = 0;
  for (const ReadSlice& slice : trace.slices) end = std::max(end, slice.end);
  bool any = false;
  for (int i = 0; i < 3; ++i) {
    const std::string window = fmt::format(" --trace-window {}ns..{}ns", end * (2 + i) / 7, end * (4 + i) / 7);
    REQUIRE(testing::flopcast("run " + scenario + " --trace " + file + window).code == 0);
    std::set<std::uint64_t> out, in;
    for (const ReadSlice& slice : read_trace(testing::contents(file)).slices) {
      out.insert(slice.flows_out.begin(), slice.flows_out.end());
      in.insert(slice.flows_in.begin(), slice.flows_in.end());
    }
    CHECK(out == in);
    any = any || !out.empty();
    REQUIRE(testing::flopcast("run " + scenario + " --trace " + chrome + window).code == 0);
    const std::string events_of_window = testing::contents(chrome);
    const auto times = [&](const std::string& what) {
      std::size_t found = 0;
      for (auto at = events_of_window.find(what); at != std::string::npos; at = events_of_window.find(what, at + 1))
        ++found;
      return found;
    };
    CHECK(times("\"ph\":\"s\"") == out.size());
    CHECK(times("\"ph\":\"f\"") == out.size());
  }
  CHECK(any);
  CHECK_THAT(json, ContainsSubstring("\"cat\":\"backward,compute\"") && ContainsSubstring("\"bytes\":"));
  // A window in which nothing runs is a mistake, and leaves no empty trace behind.
  const std::string none = folder.path() + "/none.perfetto";
  const testing::Outcome beyond = testing::flopcast("run " + scenario + " --trace " + none + " --trace-window 1d..2d");
  CHECK(beyond.code == 2);
  CHECK_THAT(beyond.err, ContainsSubstring("in which nothing runs"));
  CHECK_FALSE(std::filesystem::exists(none));
}

TEST_CASE("windows of a trace are two times with units", "[analysis][trace]") {
  CHECK(parse_window("1.5s..2s") == std::pair(Seconds(1.5), Seconds(2)));
  for (const char* wrong : {"", "1s", "1s..", "1..2", "2s..1s", "1s..1s", "a..b"}) {
    CAPTURE(wrong);
    CHECK_THROWS_AS(parse_window(wrong), InputError);
  }
  const test::TemporaryFolder folder;
  const std::string scenario = folder.write("dense.textproto", testing::kDense);
  CHECK_THAT(testing::flopcast("run " + scenario + " --trace-window 1s..2s").err, ContainsSubstring("no --trace"));
  CHECK(testing::flopcast("run " + scenario + " --trace " + folder.path() + "/t --trace-window 2..1").code == 2);
}

TEST_CASE("slots hold what does not overlap", "[analysis][trace]") {
  SlotTracks slots;
  CHECK(slots.take(Seconds(0), Seconds(2)) == 0);
  CHECK(slots.take(Seconds(1), Seconds(3)) == 1);
  CHECK(slots.take(Seconds(2), Seconds(4)) == 0);
  CHECK(slots.take(Seconds(2.5), Seconds(4)) == 2);
  CHECK(slots.size() == 3);
}

TEST_CASE("a served session's trace has its requests and curves", "[analysis][trace][serving]") {
  const test::TemporaryFolder folder;
  const std::string file = folder.path() + "/requests.perfetto";
  REQUIRE(testing::flopcast("run " + folder.write("chat.textproto", testing::kChat) + " --trace " + file).code == 0);
  const ReadTrace trace = read_trace(testing::contents(file));
  CHECK(trace.slices.size() > 300);
  // The same in Chrome's format: whole events on slots, which speedscope shows, not begins and ends by request.
  const std::string chrome = folder.path() + "/requests.json";
  REQUIRE(testing::flopcast("run " + folder.path() + "/chat.textproto --trace " + chrome).code == 0);
  const std::string text = testing::contents(chrome);
  std::map<int, double> end;  // of each slot
  std::size_t events = 0;
  const std::regex event(R"re("ph":"X","pid":\d+,"tid":(\d+),"ts":([0-9.]+),"dur":([0-9.]+))re");
  for (std::sregex_iterator at(text.begin(), text.end(), event), none; at != none; ++at, ++events) {
    const double start = std::stod((*at)[2]);
    double& last = end[std::stoi((*at)[1])];
    CHECK(start >= last);
    last = start + std::stod((*at)[3]);
  }
  CHECK(events == trace.slices.size());
  CHECK(text.find(R"("name":"slot 0")") != std::string::npos);
}

TEST_CASE("a loop's traces: as many slices in both formats, each after the end of the last", "[analysis][trace][rl]") {
  const test::TemporaryFolder folder;
  const std::string file = folder.path() + "/loop.pftrace", chrome = folder.path() + "/loop.json";
  REQUIRE(testing::flopcast("run rl_llama_8b_16_h100 --trace " + file).code == 0);
  REQUIRE(testing::flopcast("run rl_llama_8b_16_h100 --trace " + chrome).code == 0);
  const std::string text = testing::contents(chrome);
  std::map<int, double> end;  // of each lane, as a reader of the text adds it up
  std::size_t events = 0;
  const std::regex event(R"re("ph":"X","pid":1,"tid":(\d),"ts":([0-9.]+),"dur":([0-9.]+))re");
  for (std::sregex_iterator at(text.begin(), text.end(), event), none; at != none; ++at, ++events) {
    const double start = std::stod((*at)[2]);
    double& last = end[std::stoi((*at)[1])];
    CHECK(start >= last);
    last = start + std::stod((*at)[3]);
  }
  CHECK(events > 10);
  CHECK(read_trace(testing::contents(file)).slices.size() == events);
}

}  // namespace
}  // namespace flopcast
