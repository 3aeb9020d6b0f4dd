// Does text keep within its width, and do names that differ stay different?
#include <set>
#include <sstream>

#include "analysis/render/text/format.h"
#include "analysis/render/text/text_table.h"
#include "tests/catch.h"

namespace flopcast {
namespace {

TextTable numbers_and_words() {
  TextTable table({Align::left, Align::right, Align::right, Align::right, Align::left});
  table.header({"what it is", "a rather long heading", "another one", "share of the whole", "where it comes from"});
  table.row(
      {"the first of all things measured", "1,234,567", "12.5 ms", "99.9 %", "a paper with a long title, table 4"});
  table.row({"  set in", "1", "2", "3", "arxiv.org/abs/2412.19437/with/a/very/long/path/that/has/no/space"});
  return table;
}

TEST_CASE("a table keeps within every width from 40 columns, and loses nothing", "[analysis]") {
  for (std::size_t width = 40; width <= 200; ++width) {
    const std::string text = numbers_and_words().render(TextStyle(false, width));
    INFO(width << "\n" << text);
    std::istringstream lines(text);
    std::string together;
    for (std::string line; std::getline(lines, line);) {
      CHECK(display_width(line) <= width);
      for (const char c : line)
        if (c != ' ') together += c;
    }
    for (const char* cell : {"1,234,567", "12.5ms", "99.9%"}) CHECK(together.find(cell) != std::string::npos);
  }
  const std::string wide = numbers_and_words().render(TextStyle(false, 200));
  CHECK(std::count(wide.begin(), wide.end(), '\n') == 3);
  CHECK(wide.find("\n    set in") != std::string::npos);
}

TEST_CASE("a table that cannot be narrow goes on below, its first column repeated", "[analysis]") {
  TextTable table(std::vector<Align>(12, Align::right));
  std::vector<std::string> head, row;
  for (int i = 0; i < 12; ++i) {
    head.push_back("column" + std::to_string(i));
    row.push_back(std::to_string(1'000'000'000 + i));
  }
  table.header(head);
  table.row(row);
  const std::string text = table.render(TextStyle(false, 60));
  for (const std::string& cell : row) CHECK(text.find(cell) != std::string::npos);
  std::size_t heads = 0;
  for (std::size_t at = text.find("column0"); at != std::string::npos; at = text.find("column0", at + 1)) ++heads;
  CHECK(heads == 3);
}

TEST_CASE("words wider than a line are broken, behind a mark where there is one", "[analysis]") {
  CHECK(wrap("see https://example.org/a/b/c now", 16, "") == "see\nhttps://example.\norg/a/b/c now");
  CHECK(wrap("äöüäöüäöü", 4, "  ") == "äöüä\n  öüäö\n  ü");
  const std::string endless(2'000'000, 'x');  // minutes where time goes with the square of the length
  const std::string broken = wrap(endless, 80, "");
  CHECK(broken.size() == endless.size() + endless.size() / 80 - 1);
  CHECK(display_width("\x1b[1mbold\x1b[0m") == 4);
}

TEST_CASE("names that differ are still different when they are cut", "[analysis]") {
  const auto apart = [](const std::vector<std::string>& names, std::size_t width) {
    const std::vector<std::string> out = shorten_apart(names, width);
    CHECK(std::set<std::string>(out.begin(), out.end()).size() ==
          std::set<std::string>(names.begin(), names.end()).size());
    return out;
  };
  CHECK(apart({"deepseek_v3_2048_h800", "deepseek_v3_2048_h20"}, 17) ==
        std::vector<std::string>{"…_v3_2048_h800", "…_v3_2048_h20"});
  CHECK(apart({"short", "other"}, 17) == std::vector<std::string>{"short", "other"});
  CHECK(apart({"a_name_that_is_long_1", "a_name_that_is_long_2", "b"}, 17)[2] == "b");
  apart({"one_long_name_with_x_in_the_middle", "one_long_name_with_y_in_the_middle"}, 17);
  apart({"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac"}, 10);
  apart({std::string(20, 'a') + "1" + std::string(20, 'b'), std::string(20, 'a') + "2" + std::string(20, 'b')}, 10);
}

TEST_CASE("energies have units that keep them short", "[analysis]") {
  CHECK(format_energy(Joules(1454600)) == "1455 kJ");
  CHECK(format_energy(Joules(900)) == "900 J");
  CHECK(format_energy(Joules(7.2e6)) == "2.00 kWh");
}

}  // namespace
}  // namespace flopcast
