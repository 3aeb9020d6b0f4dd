#include <fmt/format.h>

#include "analysis/render/chart/page.h"
#include "analysis/render/chart/palette.h"

namespace flopcast {
namespace {

// What is narrow and what is wide: svg.h has the same widths. "w" is shown on wide figures, "n" on narrow ones.
constexpr std::string_view kSheet = R"css(
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; overflow-wrap: anywhere; }
main { margin: 0 auto; max-width: 68rem; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .5rem; padding-top: .6rem; border-top: 1px solid var(--line); break-after: avoid; }
p { margin: .5rem 0; max-width: 52rem; } ul { padding-left: 1.2rem; max-width: 52rem; } li { margin: .25rem 0; }
.lead, .note, figcaption { color: var(--quiet); } .note, figcaption { font-size: .875rem; } .lead { margin: 0; }
.headline { font-size: 1.2rem; font-weight: 600; margin: 1rem 0; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .75rem; margin: 1rem 0; }
.figures div { background: var(--band); border-radius: .4rem; padding: .6rem .75rem; }
dt { color: var(--quiet); font-size: .875rem; } dd { margin: 0; font-size: 1.15rem; font-weight: 600; font-variant-numeric: tabular-nums; }
dd.note { font-weight: 400; font-size: .875rem; }
figure { margin: 1.2rem 0 1.8rem; container-type: inline-size; break-inside: avoid; }
figcaption { margin-bottom: .5rem; max-width: 52rem; } figcaption strong { display: block; color: var(--ink); font-size: 1rem; }
.key { display: flex; flex-wrap: wrap; gap: .1rem 1rem; margin: 0 0 .4rem; font-size: .8125rem; max-width: none; }
.key span { display: inline-flex; align-items: center; gap: .4rem; } .key i { width: .8rem; height: .8rem; flex: none; }
svg.chart { display: block; overflow: visible; margin-left: var(--l); width: calc(100% - var(--l) - var(--r)); font: 13px system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
svg text { fill: var(--ink); paint-order: stroke; stroke: var(--paper); stroke-width: 3px; stroke-linejoin: round; } svg text.quiet { fill: var(--quiet); } svg .value { font-variant-numeric: tabular-nums; }
svg .line { stroke: var(--line); } svg .mark { stroke: var(--ink); stroke-dasharray: 4 3; } svg .whisker { stroke: var(--ink); stroke-width: 1.5; }
svg .leader { stroke: var(--quiet); stroke-dasharray: 1 3; } svg .track { fill: var(--band); }
svg path { fill: none; stroke-width: 2; vector-effect: non-scaling-stroke; }
svg circle { stroke-width: 2; }
.n { display: none; }
@container (max-width: 639px) { .w { display: none; } .n { display: inline; } p.n { display: flex; }
  svg.chart { width: calc(100% - var(--l) - var(--s)); } }
/* Tables may use the margins of the page; where that is not enough a shadow says that there is more. */
.scroll { overflow-x: auto; margin-right: min(0px, calc((100% - 100vw) / 2 + 1rem)); background:
  linear-gradient(90deg, var(--paper) 50%, transparent) 0 0 / 3rem 100% no-repeat local, linear-gradient(270deg, var(--paper) 50%, transparent) 100% 0 / 3rem 100% no-repeat local,
  linear-gradient(90deg, var(--line), transparent) 0 0 / 1rem 100% no-repeat scroll, linear-gradient(270deg, var(--line), transparent) 100% 0 / 1rem 100% no-repeat scroll; }
table { border-collapse: collapse; font-size: .875rem; margin: .75rem 0; overflow-wrap: normal; }
th, td { padding: .25rem .9rem .25rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--quiet); } td:not(.r) { min-width: 6rem; max-width: 34rem; }
.r { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; } .r.long { white-space: normal; min-width: 9rem; } td.long:not(.r) { min-width: 16rem; }
summary { cursor: pointer; color: var(--accent); font-size: .875rem; margin-top: .4rem; padding: .2rem 0; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
thead { display: table-header-group; } tr { break-inside: avoid; }
.viewer { position: relative; } .viewer canvas { display: block; width: 100%; touch-action: pan-y; cursor: crosshair; }
.viewer .bar { display: flex; flex-wrap: wrap; gap: .4rem; align-items: center; margin: 0 0 .4rem; font-size: .8125rem; }
.viewer button, .viewer select { font: inherit; color: var(--ink); background: var(--band); border: 1px solid var(--line); border-radius: .3rem;
  padding: .25rem .6rem; min-height: 1.9rem; } .viewer button { cursor: pointer; }
.viewer .told { min-height: 2.6rem; font-size: .8125rem; color: var(--ink); margin: .3rem 0 0; white-space: pre-line; }
[hidden] { display: none !important; }
@media print { .scroll { margin-right: 0; background: none; } main { max-width: none; padding: 0; } body { font-size: 10.5pt; } @page { margin: 16mm; } .viewer { display: none; }
  figure > .still[hidden] { display: block !important; } * { -webkit-print-color-adjust: exact; print-color-adjust: exact; } }
)css";

std::string variables(const PageColours& page, bool dark) {
  std::string out = fmt::format("--paper: {}; --ink: {}; --quiet: {}; --line: {}; --band: {}; --accent: {};",
                                page.paper, page.ink, page.quiet, page.line, page.band, page.accent);
  for (const ToneRow& tone : tones()) out += fmt::format(" --{}: {};", tone.name, dark ? tone.dark : tone.light);
  return out;
}

}  // namespace

std::string page_style() {
  std::string out = fmt::format(
      "\n:root {{ color-scheme: light dark; {} }}\n@media screen and (prefers-color-scheme: dark) "
      "{{ :root {{ {} }} }}",
      variables(light_page(), false), variables(dark_page(), true));
  out += kSheet;
  for (const ToneRow& tone : tones()) {
    // Areas, hollow marks and lines.
    out += fmt::format(
        "i.t-{0} {{ background: var(--{0}); }} svg .t-{0} {{ fill: var(--{0}); stroke: none; }} svg .s-{0} {{ stroke: "
        "var(--{0}); }} svg .h-{0} {{ fill: var(--paper); stroke: var(--{0}); }} svg circle.t-{0} {{ stroke: "
        "var(--{0}); }}\n",
        tone.name);
  }
  return out;
}

}  // namespace flopcast
