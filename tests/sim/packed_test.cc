// Do values come back from child processes as they were?
#include "sim/jobs/packed.h"

#include <cmath>
#include <limits>

#include "tests/catch.h"

namespace flopcast {
namespace {

enum class Colour { red, green };

struct Part {
  std::string name;
  std::optional<Seconds> time;
  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("name", &Part::name);
    field("time", &Part::time);
  }
};

struct Result {
  Colour colour = Colour::red;
  bool good = false;
  int count = 0;
  double number = 0;
  Bytes bytes;
  std::array<double, 2> pair{};
  std::vector<Part> parts;
  std::variant<std::monostate, double, std::string> either;
  std::optional<Diagnostic> fault;
  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("colour", &Result::colour);
    field("good", &Result::good);
    field("count", &Result::count);
    field("number", &Result::number);
    field("bytes", &Result::bytes);
    field("pair", &Result::pair);
    field("parts", &Result::parts);
    field("either", &Result::either);
    field("fault", &Result::fault);
  }
};

Result result(std::size_t i) {
  Result out;
  out.colour = Colour::green;
  out.good = true;
  out.count = -static_cast<int>(i);
  out.number = 0.1 * static_cast<double>(i);
  out.bytes = Bytes(1e300);
  out.pair = {std::numeric_limits<double>::infinity(), -0.0};
  out.parts = {{std::string("a\0b\n", 4), Seconds(1)}, {"", std::nullopt}};
  if (i == 1) out.either = 2.5;
  if (i == 2) out.either = std::string("text");
  if (i == 1) out.fault = Diagnostic{"file", 3, 4, "field", "found", "expected", "near", "remedy"};
  return out;
}

}  // namespace

TEST_CASE("every kind of value comes back from a child process as it was", "[sim][process]") {
  const std::vector<Result> got = parallel_map<Result>(3, 2, result);
  REQUIRE(got.size() == 3);
  for (std::size_t i = 0; i < got.size(); ++i) {
    const Result sent = result(i);
    CHECK(packed(got[i]) == packed(sent));
    CHECK(got[i].colour == sent.colour);
    CHECK(got[i].count == sent.count);
    CHECK(got[i].number == sent.number);
    CHECK(got[i].bytes == sent.bytes);
    CHECK(std::signbit(got[i].pair[1]));
    REQUIRE(got[i].parts.size() == 2);
    CHECK(got[i].parts[0].name == sent.parts[0].name);
    CHECK(got[i].parts[0].time == Seconds(1));
    CHECK_FALSE(got[i].parts[1].time);
    CHECK(got[i].either == sent.either);
    CHECK(got[i].fault.has_value() == (i == 1));
  }
  CHECK(to_string(*got[1].fault) == to_string(*result(1).fault));
}

TEST_CASE("bytes that are cut short, go on, or name no alternative are refused", "[sim][process]") {
  const std::string bytes = packed(result(2));
  for (std::size_t size = 0; size < bytes.size(); ++size)
    CHECK_THROWS_AS(unpacked<Result>(std::string_view(bytes).substr(0, size)), std::runtime_error);
  CHECK_THROWS_AS(unpacked<Result>(bytes + "x"), std::runtime_error);
  CHECK_THROWS_AS((unpacked<std::variant<int, double>>(std::string(1, '\x07'))), std::runtime_error);
}

}  // namespace flopcast
