// Are the pages of results whole, self-contained and safe to show?
#include "analysis/render/html_page.h"
#include "analysis/render/charts.h"
#include "tests/analysis/program.h"
#include "tests/catch.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t found = 0;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
  return found;
}

TEST_CASE("compare: the page has a waterfall per pair, each cause under its own name", "[html]") {
  const test::TemporaryFolder folder;
  const std::string h800 = folder.write("h800.textproto", testing::kSparse);
  std::string text = testing::kSparse;
  text.replace(text.find("hgx-h800"), 8, "hgx-h20");
  const std::string h20 = folder.write("h20.textproto", text);
  const std::string page = folder.path() + "/page.html";
  const testing::Outcome outcome = testing::flopcast("compare " + h800 + " " + h20 + " --html " + page);
  REQUIRE(outcome.code == 0);
  const std::string html = testing::contents(page);
  CHECK(count(html, "aria-label=\"Waterfall\"") == 1);
  CHECK_THAT(html, ContainsSubstring("<td>computing rate of the GPU</td>"));
  CHECK_THAT(html, ContainsSubstring("<td>memory bandwidth of the GPU</td>"));
  CHECK(count(html, "<svg") == count(html, "</svg>"));
  CHECK(count(html, "<table") == count(html, "</table>"));
  for (const char* outside : {"src=", "href=", "@import", "url("}) CHECK(html.find(outside) == std::string::npos);
}

TEST_CASE("policy frontier: the page shows the chips and the chip they come from", "[html]") {
  const test::TemporaryFolder folder;
  const std::string file = folder.write("h800.textproto", testing::kSparse);
  const std::string page = folder.path() + "/page.html";
  REQUIRE(testing::flopcast("policy frontier " + file + " --rule R2023_10 --html " + page).code == 0);
  const std::string html = testing::contents(page);
  CHECK(count(html, "aria-label=\"Frontier\"") == 1);
  CHECK_THAT(html, ContainsSubstring("<td>fastest"));
  CHECK_THAT(html, ContainsSubstring("<td>h800-sxm</td>"));
}

TEST_CASE("what stands in a page cannot change it", "[html]") {
  HtmlPage page("<script>alert(1)</script>");
  page.paragraph("a & b < c");
  page.table({"<b>"}, {{"\"x\""}}, {Align::left});
  const std::string html = page.str();
  CHECK(html.find("<script>") == std::string::npos);
  CHECK(html.find("<b>") == std::string::npos);
  CHECK_THAT(html, ContainsSubstring("a &amp; b &lt; c"));
  CHECK_THAT(html, ContainsSubstring("&quot;x&quot;"));
}

TEST_CASE("a picture's labels do not lie on each other", "[html]") {
  // Three points in one place: only as many names are written as find room.
  FrontierChart chart{
      "x", "y", {}, [](double v) { return std::to_string(v); }, [](double v) { return std::to_string(v); }};
  for (int i = 0; i < 9; ++i) chart.points.push_back({"a chip with a long name", 1, 1, false});
  chart.points.push_back({"elsewhere", 2, 2, true});
  const std::string svg = svg_of(chart);
  CHECK(count(svg, "<circle") == 10);
  CHECK(count(svg, ">a chip with a long name</text>") <= 4);
  CHECK(count(svg, ">elsewhere</text>") == 1);
}

}  // namespace
}  // namespace flopcast
