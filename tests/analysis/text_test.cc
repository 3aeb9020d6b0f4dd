// Do numbers and tables read as they should, and do small tables say what is wrong with them?
#include <limits>

#include "analysis/render/text/csv.h"
#include "analysis/render/text/format.h"
#include "analysis/render/text/json.h"
#include "analysis/render/text/text_table.h"
#include "analysis/runs/parts/energy.h"
#include "analysis/runs/parts/message_parts.h"
#include "analysis/runs/training/show/text_report.h"
#include "analysis/runs/training/training_message.h"
#include "sim/base/diagnostic.h"
#include "tests/catch.h"

namespace flopcast {
namespace {

TEST_CASE("numbers keep three or four digits and a unit that suits them", "[analysis]") {
  CHECK(format_time(19.926_s) == "19.93 s");
  CHECK(format_time(0.00436_s) == "4.36 ms");
  CHECK(format_time(12_us) == "12.0 us");
  CHECK(format_percent(-0.0004) == "0.0 %");  // what rounds to nothing is no loss
  CHECK(format_percent(-0.0006) == "-0.1 %");
  CHECK(format_percent(-0.004, 0) == "0 %");
  CHECK(format_error(-0.0004) == "+0.0 %");
  CHECK(format_error(-1.0) == "-100.0 %");
  CHECK(format_error(2e6) == "+2e+08 %");
  CHECK(format_time(Seconds(0)) == "0 s");
  CHECK(format_bytes(80_GB) == "80.0 GB");
  CHECK(format_rate(48.7_GBps) == "48.7 GB/s");
  CHECK(format_count(14.8e12) == "14.8 T");
  CHECK(format_count(62914560) == "62.9 M");
  CHECK(format_count(2048) == "2,048");
  CHECK(format_integer(2687123) == "2,687,123");
  CHECK(format_integer(-1234) == "-1,234");
  CHECK(format_usd(Usd(5.576e6)) == "$5.576 M");
  CHECK(format_error(0.0131) == "+1.3 %");
  CHECK(format_error(-0.0131) == "-1.3 %");
}

TEST_CASE("widths count characters, not bytes", "[analysis]") {
  CHECK(display_width("█▒·") == 3);
  CHECK(pad_left("█", 3) == "  █");
  CHECK(shorten("█████", 3) == "██…");
  CHECK(wrap("one two three", 7, "  ") == "one two\n  three");
  CHECK(wrap("about 37.9 % of it", 9, "") == "about\n37.9 % of\nit");
}

TEST_CASE("a stacked bar is as wide as its shares, whatever the rounding", "[analysis]") {
  CHECK(display_width(stacked_bar({0.333, 0.333, 0.334}, {"a", "b", "c"}, 10)) == 10);
  CHECK(stacked_bar({0.5, 0.25}, {"a", "b"}, 8) == "aaaabb");
}

TEST_CASE("tables stay within their width", "[analysis]") {
  TextTable table({Align::left, Align::right, Align::left});
  table.header({"what", "value", "source"});
  table.row({"step", "19.9 s", "words that go on and on for more columns than the table has left for them"});
  const std::string text = table.render(TextStyle(false, 60));
  CHECK(text.find("step  19.9 s  words") != std::string::npos);
  std::size_t begin = 0;
  for (std::size_t end = text.find('\n'); end != std::string::npos; begin = end + 1, end = text.find('\n', begin)) {
    CHECK(display_width(std::string_view(text).substr(begin, end - begin)) <= 60);
  }
}

TEST_CASE("small tables: comments, quotes, and the line of a fault", "[analysis]") {
  const CsvTable table = parse_csv("# c\na,b\n1,\"x, y\"\n2,z\n", "t.csv");
  REQUIRE(table.size() == 2);
  CHECK(table.text(0, "b") == "x, y");
  CHECK(table.number(1, "a") == 2);
  CHECK_THROWS_AS(table.number(1, "b"), InputError);
  CHECK_THROWS_AS(parse_csv("a,b\n1\n", "t.csv"), InputError);
}

TEST_CASE("power: the architecture's row, else the one for any", "[analysis]") {
  const std::string table =
      "architecture,busy_fraction,idle_fraction,source,date\nhopper,0.8,0.1,s,d\nany,0.7,0.2,t,d\n";
  CHECK(find_power_model(table, "p", "hopper").busy_fraction == 0.8);
  CHECK(find_power_model(table, "p", "ampere").busy_fraction == 0.7);
}

TEST_CASE("power lies between waiting and working", "[analysis]") {
  NodeSpec node;
  node.gpus = 8;
  node.gpu.tdp = Watts(700);
  node.overhead_power = Watts(4600);
  const PowerModel model{0.76, 0.1, ""};
  // A node at work all the time draws its measured share of the rating: 0.76 x 10.2 kW.
  CHECK(8 * step_power(node, model, 1.0).training.value() == Approx(0.76 * 10200));
  CHECK(step_power(node, model, 0.0).training.value() == Approx(step_power(node, model, 0.5).standing.value()));
}

TEST_CASE("JSON: snake_case names, every field, shortest doubles", "[analysis]") {
  CHECK(shortest(0.1) == "0.1");
  CHECK(shortest(1.0 / 3.0) == "0.3333333333333333");
  CHECK(shortest(5e22) == "5e+22");
  report::Run run;
  run.set_operations(18446744073709551615ULL);
  run.set_backend("a \"b\"\n");
  CHECK(to_json(run) ==
        "{\n  \"operations\": 18446744073709551615,\n  \"transfers\": 0,\n  \"contended_flows\": 0,\n"
        "  \"folded\": false,\n  \"replayed_gpus\": 0,\n  \"backend\": \"a \\\"b\\\"\\n\",\n  "
        "\"fingerprint\": \"\"\n}\n");
}

TEST_CASE("figures are found by path, entries by index or name", "[analysis]") {
  report::Report message;
  message.mutable_training()->set_step_time_s(2.5);
  report::Phase& phase = *message.mutable_projection()->add_phases();
  phase.set_name("v1.0 run");
  phase.set_gpu_hours(7);
  CHECK(number_at(message, "training.step_time_s") == 2.5);
  CHECK(number_at(message, "projection.phases[0].gpu_hours") == 7.0);
  CHECK(number_at(message, "projection.phases[v1.0 run].gpu_hours") == 7.0);
  CHECK_FALSE(number_at(message, "projection.phases[1].gpu_hours").has_value());
  CHECK_FALSE(number_at(message, "training.nonsense").has_value());
}

}  // namespace
}  // namespace flopcast
