#include "analysis/render/html_page.h"

#include <fmt/format.h>

#include "sim/base/plain_text.h"

namespace flopcast {
namespace {

// Colours have a contrast of at least 4.5 against their background where they carry text, 3 where they fill
// areas (WCAG 2.1).
constexpr std::string_view kStyle = R"css(
:root { color-scheme: light dark;
  --paper: #ffffff; --ink: #1d2430; --quiet: #5a6472; --line: #d5dae1; --band: #f4f6f9;
  --c0: #3a6fb5; --c1: #cf6a1e; --c2: #2f8f5b; --c3: #8b5fb4; --c4: #1b8a96; --c5: #b3486b; --c6: #8a7238; --c7: #76808d;
  --more: #c2472f; --less: #2f8f5b; --sum: #3a6fb5; }
@media screen and (prefers-color-scheme: dark) { :root {
  --paper: #14181f; --ink: #e6eaf0; --quiet: #a3adba; --line: #38414e; --band: #1c222b;
  --c0: #6ea3e8; --c1: #f0954e; --c2: #5fc28a; --c3: #bd94e3; --c4: #4cc0cc; --c5: #e68aa9; --c6: #cbb06c; --c7: #98a3b0;
  --more: #f07f66; --less: #5fc28a; --sum: #6ea3e8; } }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem 1.25rem 3rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem; padding-top: .6rem; border-top: 1px solid var(--line); break-after: avoid; }
p { margin: .5rem 0; } .lead, .note, figcaption { color: var(--quiet); } .note, figcaption { font-size: .875rem; }
figure { margin: 1rem 0; break-inside: avoid; overflow-x: auto; } figcaption { margin-bottom: .25rem; }
svg { display: block; width: 100%; min-width: 42rem; height: auto; font: 13px system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
svg text { fill: var(--ink); } svg .quiet { fill: var(--quiet); } svg .line { stroke: var(--line); } svg .ink { stroke: var(--ink); }
svg .c0 { fill: var(--c0); } svg .c1 { fill: var(--c1); } svg .c2 { fill: var(--c2); } svg .c3 { fill: var(--c3); }
svg .c4 { fill: var(--c4); } svg .c5 { fill: var(--c5); } svg .c6 { fill: var(--c6); } svg .c7 { fill: var(--c7); }
svg .more { fill: var(--more); } svg .less { fill: var(--less); } svg .sum { fill: var(--sum); }
svg .path { fill: none; stroke: var(--c0); stroke-width: 2; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; margin: .75rem 0; }
th, td { padding: .25rem .75rem .25rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--quiet); } td:not(.r) { min-width: 7rem; } .r { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
thead { display: table-header-group; } tr { break-inside: avoid; }
@media print { body { max-width: none; padding: 0; font-size: 10.5pt; } svg { min-width: 0; } @page { margin: 16mm; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; } }
)css";

}  // namespace

std::string html_escaped(std::string_view text) {
  std::string out;
  for (const char c : visible(text, LineEnds::allowed)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

void HtmlPage::lead(const std::string& text) { body_ += "<p class=\"lead\">" + html_escaped(text) + "</p>\n"; }
void HtmlPage::heading(const std::string& text) { body_ += "<h2>" + html_escaped(text) + "</h2>\n"; }
void HtmlPage::paragraph(const std::string& text) { body_ += "<p>" + html_escaped(text) + "</p>\n"; }
void HtmlPage::note(const std::string& text) { body_ += "<p class=\"note\">" + html_escaped(text) + "</p>\n"; }

void HtmlPage::figure(const std::string& caption, const std::string& svg) {
  body_ += "<figure><figcaption>" + html_escaped(caption) + "</figcaption>\n" + svg + "</figure>\n";
}

void HtmlPage::table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows,
                     const std::vector<Align>& align) {
  const auto cells = [&](const std::vector<std::string>& row, const char* tag) {
    std::string out = "<tr>";
    for (std::size_t i = 0; i < row.size(); ++i) {
      out +=
          fmt::format("<{0}{1}>{2}</{0}>", tag, align[i] == Align::right ? " class=\"r\"" : "", html_escaped(row[i]));
    }
    return out + "</tr>\n";
  };
  body_ += "<div class=\"scroll\"><table>\n<thead>" + cells(header, "th") + "</thead><tbody>\n";
  for (const auto& row : rows) body_ += cells(row, "td");
  body_ += "</tbody></table></div>\n";
}

std::string HtmlPage::str() const {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, "
      "initial-scale=1\">\n<title>{0}</title>\n<style>{1}</style>\n"
      "</head>\n<body>\n<h1>{0}</h1>\n{2}</body>\n</html>\n",
      html_escaped(title_), kStyle, body_);
}

}  // namespace flopcast
