// Are the pages of results whole, self-contained and safe to show?
#include "analysis/render/chart/page.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "analysis/render/chart/timeline_view.h"
#include "analysis/render/text/escape.h"
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
  CHECK(count(html, "What each cause adds") == 1);
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
  CHECK(count(html, "The fastest allowed design takes") == 2);  // title of the figure and of its picture
  CHECK_THAT(html, ContainsSubstring("<td>fastest"));
  CHECK_THAT(html, ContainsSubstring("<td>h800-sxm</td>"));
}

TEST_CASE("what stands in a page cannot change it", "[html]") {
  Page page("<script>alert(1)</script>");
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
  FrontierChart chart;
  chart.x_text = chart.y_text = [](double v) { return fmt::format("{:g}", v); };
  for (int i = 0; i < 9; ++i) chart.points.push_back({"a chip with a long name", 1, 1, false, {}});
  chart.points.push_back({"elsewhere", 2, 2, true, {}});
  const Drawing drawing = drawing_of(chart);
  const std::string& svg = drawing.svg;
  CHECK(count(svg, "<circle") == 10);
  CHECK(count(svg, ">a chip with a long name</text>") <= 4);
  CHECK(count(svg, ">elsewhere</text>") == 1);
  CHECK(drawing.table.rows.size() == 10);  // the table has them all
}

TEST_CASE("every picture has a title, a description and its numbers", "[html]") {
  LineChart chart;
  chart.title = "It rises";
  chart.x_title = "s";
  chart.y_title = "GB";
  chart.x_text = chart.y_text = [](double v) { return fmt::format("{:g}", v); };
  chart.lines = {{"a", {{1, 2, {}, true, {}, std::pair(1.0, 3.0)}, {2, 5, {}, true, {}, {}}}, true, true, {}}};
  Page page("x");
  page.figure(drawing_of(chart));
  const std::string html = page.str();
  CHECK_THAT(html, ContainsSubstring("<title>It rises</title>"));
  CHECK_THAT(html, ContainsSubstring("from 2 at 1 to 5 at 2"));
  CHECK(count(html, "class=\"whisker\"") == 1);
  CHECK_THAT(html, ContainsSubstring("<td class=\"r\">5</td>"));
  CHECK(count(html, "<script") == 0);
  // Without anything to show there is no empty frame.
  Page empty("x");
  empty.figure(drawing_of(LineChart{}));
  CHECK(count(empty.str(), "<figure") == 0);
}

TEST_CASE("lines that end together have a key, not names far from their ends; points in one place share a label",
          "[html]") {
  LineChart chart;
  chart.x_text = chart.y_text = [](double v) { return fmt::format("{:g}", v); };
  for (const char* name : {"alpha", "beta", "gamma", "delta"})
    chart.lines.push_back(
        {name,
         {{0, 5 + static_cast<double>(chart.lines.size()), "", true, {}, {}}, {1, 0, "", true, {}, {}}},
         false,
         true,
         {}});
  const Drawing together = drawing_of(chart);
  CHECK(count(together.svg, "leader") == 0);
  for (const char* name : {"alpha", "beta", "gamma", "delta"}) CHECK_THAT(together.key, ContainsSubstring(name));
  for (std::size_t i = 0; i < 4; ++i) chart.lines[i].points[1].y = 2 * static_cast<double>(i);
  const Drawing apart = drawing_of(chart);
  CHECK(apart.key.empty());
  CHECK(count(apart.svg, "</tspan> ") == 4);  // a square of the line's colour before each name
  FrontierChart plans;
  plans.x_text = plans.y_text = chart.x_text;
  for (const char* name : {"3", "5", "6"}) plans.points.push_back({name, 1, 1, false, {}});
  plans.points.push_back({"1", 2, 2, true, {}});
  CHECK_THAT(drawing_of(plans).svg, ContainsSubstring(">3, 5, 6</text>"));
}

TEST_CASE("names of rows are broken for phones and whole where there is room; tables say what is long", "[html]") {
  BarChart chart;
  chart.tick = [](double v) { return fmt::format("{:g}", v); };
  chart.rows.push_back(
      {"other lengths, others in the batch, waiting for a replica", "+372.9 ms", {{0, 1, Tone::first, {}}}, {}});
  const std::string svg = drawing_of(chart).svg;
  CHECK(count(svg, "class=\"w\">other lengths, others in the batch, waiting for a replica</text>") == 1);
  CHECK(count(svg, "class=\"n\">") > 1);
  Page page("x");
  page.table({"n"}, {{"15,000 (1,521 to 28,479)"}, {"1"}}, {Align::right});
  CHECK_THAT(page.str(),
             ContainsSubstring("<td class=\"r long\">15,000") && ContainsSubstring("<td class=\"r\">1</td>"));
}

TEST_CASE("a timeline has a key of its colours where no picture beside it has one", "[html]") {
  TimelineView view({"stage"});
  const auto row = view.add_row("GPU 0", "compute");
  view.add(row, 0, 1, view.add_name("F", Tone::forward), {});
  view.add(row, 1, 2, view.add_name("W", Tone::weight), {});
  const std::string alone = view.html("a step", 14, "");
  CHECK_THAT(alone, ContainsSubstring("t-forward") && ContainsSubstring("weight gradient") &&
                        !ContainsSubstring("t-backward"));
  CHECK_THAT(view.html("a step", 14, "pipeline"), !ContainsSubstring("class=\"key\""));
}

namespace colour {

std::array<double, 3> linear(std::string_view hex) {
  std::array<double, 3> rgb{};
  for (std::size_t i = 0; i < 3; ++i) {
    const double v = std::stoi(std::string(hex.substr(1 + 2 * i, 2)), nullptr, 16) / 255.0;
    rgb[i] = v <= 0.04045 ? v / 12.92 : std::pow((v + 0.055) / 1.055, 2.4);
  }
  return rgb;
}
double contrast(std::string_view a, std::string_view b) {
  const auto luminance = [](std::string_view hex) {
    const auto rgb = linear(hex);
    return 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2];
  };
  const double x = luminance(a) + 0.05, y = luminance(b) + 0.05;
  return std::max(x, y) / std::min(x, y);
}
/// As people without red (0) or green (1) receptors see it: Viénot, Brettel and Mollon 1999.
std::array<double, 3> as_seen(std::array<double, 3> c, int blind) {
  if (blind == 0) {
    const double mixed = 0.11238 * c[0] + 0.88762 * c[1];
    return {mixed, mixed, 0.00401 * c[0] - 0.00401 * c[1] + c[2]};
  }
  const double mixed = 0.29275 * c[0] + 0.70725 * c[1];
  return {mixed, mixed, -0.02234 * c[0] + 0.02234 * c[1] + c[2]};
}
/// CIE 1976 difference.
double difference(std::array<double, 3> a, std::array<double, 3> b) {
  const auto lab = [](const std::array<double, 3>& c) {
    const auto f = [](double t) { return t > 0.008856 ? std::cbrt(t) : 7.787 * t + 16.0 / 116; };
    const double x = f((0.4124 * c[0] + 0.3576 * c[1] + 0.1805 * c[2]) / 0.9505);
    const double y = f(0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2]);
    const double z = f((0.0193 * c[0] + 0.1192 * c[1] + 0.9505 * c[2]) / 1.089);
    return std::array<double, 3>{116 * y - 16, 500 * (x - y), 200 * (y - z)};
  };
  const auto p = lab(a), q = lab(b);
  return std::hypot(p[0] - q[0], p[1] - q[1], p[2] - q[2]);
}

}  // namespace colour

TEST_CASE("words can be read on their paper, areas be seen, and tones of work told apart by everyone", "[html]") {
  for (const PageColours* page : {&light_page(), &dark_page()}) {
    CHECK(colour::contrast(page->ink, page->paper) >= 7);
    CHECK(colour::contrast(page->ink, page->band) >= 7);
    CHECK(colour::contrast(page->quiet, page->paper) >= 4.5);
    CHECK(colour::contrast(page->quiet, page->band) >= 4.5);
    CHECK(colour::contrast(page->accent, page->paper) >= 4.5);
    for (const ToneRow& tone : tones()) {
      CAPTURE(tone.name);
      CHECK(colour::contrast(page == &light_page() ? tone.light : tone.dark, page->paper) >= 3);
    }
  }
  constexpr Tone kWork[] = {Tone::forward,       Tone::backward, Tone::weight,
                            Tone::communication, Tone::bubble,   Tone::optimizer};
  for (const bool dark : {false, true}) {
    for (const Tone a : kWork) {
      for (const Tone b : kWork) {
        if (a >= b) continue;
        const auto hex = [dark](Tone t) { return dark ? row_of(t).dark : row_of(t).light; };
        CAPTURE(row_of(a).name, row_of(b).name, dark);
        CHECK(colour::difference(colour::linear(hex(a)), colour::linear(hex(b))) > 20);
        for (const int blind : {0, 1})
          CHECK(colour::difference(colour::as_seen(colour::linear(hex(a)), blind),
                                   colour::as_seen(colour::linear(hex(b)), blind)) > 12);
      }
    }
  }
}

TEST_CASE("text in a script cannot end it", "[html]") {
  CHECK(script_quoted("</script><b>&\"\\\n") == "\"\\u003c/script\\u003e\\u003cb\\u003e\\u0026\\\"\\\\\\u000a\"");
  CHECK(script_quoted("a\xe2\x80\xa8z") == "\"a\\u2028z\"");
  CHECK(base64("") == "");
  CHECK(base64("f") == "Zg==");
  CHECK(base64("fo") == "Zm8=");
  CHECK(base64("foobar") == "Zm9vYmFy");
  TimelineView view({"layer"});
  view.add(view.add_row("</script>", "<i>"), 0, 1, view.add_name("</script>", Tone::forward), {1, 0, 0});
  const std::string html = view.html("<x>", 14, "");
  CHECK(count(html, "</script>") == 1);
  CHECK(count(html, "<i>") == 0);
  CHECK(count(html, "<x>") == 0);
}

}  // namespace
}  // namespace flopcast
