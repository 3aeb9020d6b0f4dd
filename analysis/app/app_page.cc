#include "analysis/app/app.h"
#include "analysis/render/chart/page.h"

namespace flopcast {
namespace {

constexpr std::string_view kAppStyle = R"css(
main { max-width: none; padding: .75rem 1rem 2rem; display: grid; gap: 1rem; grid-template-columns: minmax(0, 1fr); }
@media (min-width: 1000px) { main { grid-template-columns: minmax(22rem, 32rem) minmax(0, 1fr); grid-template-rows: auto 1fr; } #right { grid-column: 2; grid-row: 1 / 3; position: sticky; top: .5rem; align-self: start; max-height: calc(100vh - 1rem); overflow: auto; } }
.scroll { margin-right: 0; } h1 { font-size: 1.2rem; } h2 { font-size: 1rem; margin: 1rem 0 .3rem; padding: 0; border: 0; }
label { display: block; font-size: .875rem; color: var(--quiet); margin-top: .4rem; }
input, select, textarea, button { font: inherit; color: var(--ink); background: var(--paper); border: 1px solid var(--quiet); border-radius: .3rem; padding: .3rem .5rem; max-width: 100%; }
input[type=checkbox] { width: 1.1rem; height: 1.1rem; vertical-align: middle; }
button { cursor: pointer; background: var(--band); min-height: 2.1rem; } button:disabled { color: var(--quiet); cursor: default; }
textarea { width: 100%; height: 18rem; font: .8125rem/1.45 ui-monospace, "DejaVu Sans Mono", monospace; resize: vertical; tab-size: 2; }
.row { display: flex; flex-wrap: wrap; gap: .4rem; align-items: end; margin: .3rem 0; } .row > * { flex: none; } .row .grow { flex: 1 1 10rem; min-width: 8rem; } .grow input, .grow select { display: block; width: 100%; }
#faults li, .fault { color: var(--bad); } #facts { color: var(--quiet); font-size: .875rem; } progress { width: 100%; }
iframe { width: 100%; height: calc(100vh - 12rem); min-height: 30rem; border: 1px solid var(--line); background: var(--paper); }
#fields { max-height: 24rem; overflow: auto; border-top: 1px solid var(--line); } .field { padding: .45rem 0; border-bottom: 1px solid var(--line); font-size: .875rem; }
.field .what { color: var(--quiet); } .field input, .field select { width: 100%; } code { font-size: .8125rem; overflow-wrap: anywhere; }
.set { display: inline-flex; gap: .3rem; align-items: center; background: var(--band); border-radius: .3rem; padding: .1rem .4rem; font-size: .8125rem; overflow-wrap: anywhere; }
.set button { min-height: 0; padding: 0 .35rem; border: 0; } #runs, #tabs { display: flex; flex-wrap: wrap; gap: .3rem; margin: .4rem 0; } [aria-pressed=true], [aria-selected=true] { outline: 2px solid var(--accent); }
#runs button { font-size: .8125rem; min-height: 1.8rem; text-align: left; } #runs .gone { color: var(--quiet); border-style: dashed; }
#pipe { display: block; width: 100%; touch-action: pan-y; cursor: grab; } svg.cloud { display: block; width: 100%; height: 24rem; font: 13px system-ui, sans-serif; }
svg.cloud circle { cursor: pointer; } svg.cloud circle:focus { outline: none; stroke: var(--ink); stroke-width: 3; }
.picked { background: var(--band); border-radius: .3rem; padding: .5rem .7rem; margin: .4rem 0; font-size: .875rem; }
td.differs { font-weight: 600; } p.lead { max-width: 44rem; margin: .6rem 0; }
.cards { display: grid; gap: .4rem; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); } .cards button { text-align: left; padding: .5rem .7rem; overflow-wrap: anywhere; } .cards small { display: block; color: var(--quiet); } .links a { margin-right: .6rem; }
)css";

constexpr std::string_view kAppBody = R"html(
<main>
<section id="left" aria-label="scenario">
<h1>Flopcast</h1>
<div class="row"><label class="grow">Scenario of the library or the folder<input id="name" list="names" autocomplete="off" spellcheck="false"></label><datalist id="names"></datalist><button id="load" type="button">Load</button></div>
<label for="text">The scenario as text</label>
<textarea id="text" spellcheck="false" autocomplete="off"></textarea>
<div id="state" aria-live="polite"><ul id="faults"></ul><p id="facts"></p></div>
<div id="sets" class="row"></div>
<div class="row"><button id="run" type="button" disabled>Run</button><button id="cancel" type="button" disabled>Cancel</button><label><input id="oom" type="checkbox"> even if it does not fit into memory</label></div>
<progress id="progress" max="1" value="0" hidden></progress><p id="told" aria-live="polite" class="note"></p>
</section>
<section id="right" aria-label="results">
<div id="tabs" role="tablist" aria-label="views"></div>
<div id="view_library" role="tabpanel" aria-label="Scenarios" hidden>
<p class="lead">How long work on a GPU cluster takes, what holds it back and what it costs. Pick a scenario, run it, change a field, run it again: what differs, and why, stands beside.</p>
<input id="library_find" type="search" placeholder="search: V3, H20, serving ..." aria-label="search scenarios" style="width:100%">
<div id="library"></div>
</div>
<div id="view_result" role="tabpanel" aria-label="Result">
<div id="runs" role="group" aria-label="runs"></div>
<div class="row links"><button id="causes" type="button" disabled>Causes of the difference</button><a id="html" hidden>page</a> <a id="json" hidden>JSON</a> <a id="csv" hidden>CSV</a> <a id="svg" hidden>SVG</a> <button id="again" type="button" hidden>Take its scenario</button></div>
<details id="difference" hidden><summary></summary><div class="scroll" tabindex="0"><table><thead><tr><th>figure</th><th class="r">before</th><th class="r">now</th><th class="r">change</th></tr></thead><tbody></tbody></table></div></details>
<iframe id="page" title="results" sandbox="allow-scripts" hidden></iframe>
<p id="empty" class="note">Pick a scenario, change what you like, and run it: results stand here.</p>
</div>
<div id="view_compare" role="tabpanel" aria-label="Side by side" hidden>
<fieldset><legend>Runs side by side</legend><div id="chosen"></div></fieldset>
<label><input id="all_figures" type="checkbox"> figures that do not differ too</label>
<p id="compare_told" class="note" aria-live="polite"></p>
<div class="scroll" tabindex="0" role="region" aria-label="figures side by side"><table id="side"></table></div>
</div>
<div id="view_explore" role="tabpanel" aria-label="Sweep and plan" hidden>
<datalist id="paths"></datalist>
<div class="row"><label class="grow">Field<input id="axis0" list="paths" spellcheck="false" placeholder="training.plan.pipeline"></label><label class="grow">takes the values<input id="values0" spellcheck="false" placeholder="4,8,16"></label></div>
<div class="row"><label class="grow">and field<input id="axis1" list="paths" spellcheck="false"></label><label class="grow">takes the values<input id="values1" spellcheck="false"></label></div>
<div class="row"><button id="sweep" type="button">Run the sweep</button><button id="plan" type="button">Find the best plan</button></div>
<p id="explore_told" class="note" aria-live="polite"></p>
<div id="cloud_view" hidden>
<div class="row"><label class="grow">across<select id="cloud_x"></select></label><label class="grow">up<select id="cloud_y"></select></label></div>
<div id="cloud"></div><p class="note">The line joins the plans that no other beats in both. Hollow points: priced in closed form, not replayed.</p><div id="picked" class="picked" aria-live="polite">Press a point (or Enter on it) to see it here.</div>
<p class="links"><a id="cloud_csv">CSV</a> <a id="cloud_svg" href="#">SVG</a> <a id="study_file" href="#" hidden>study file</a></p>
<p><code id="cloud_command"></code></p>
<details><summary>The numbers of this picture</summary><div class="scroll" tabindex="0"><table id="cloud_table"></table></div></details>
</div></div>
<div id="view_schedule" role="tabpanel" aria-label="Schedule" hidden>
<p class="note">Drag a pass to another place of its row, or press left and right with Alt on the one that is marked (arrows alone walk). The step is replayed after each move.</p>
<div class="row"><button id="undo" type="button" disabled>Undo</button><button id="order" type="button" disabled>Save the order as a file</button><label>Zoom <input id="zoom" type="range" min="1" max="40" value="1" aria-label="zoom"></label></div>
<p id="schedule_told" aria-live="polite"></p><p id="schedule_faults" class="fault"></p>
<div class="scroll" id="pipe_scroll"><canvas id="pipe" tabindex="0" role="application" aria-label="passes of the pipeline, row by row"></canvas></div>
<p id="pass_told" class="note" aria-live="polite"></p>
</div>
</section>
<section id="more" aria-label="fields and files">
<h2>Change a field</h2>
<input id="find" type="search" placeholder="search: plan, bandwidth, batch ..." aria-label="search fields" style="width:100%">
<div id="fields" tabindex="0" role="region" aria-label="fields"></div>
<p id="other_fields" class="note"></p>
<h2>Do this in the terminal</h2><p id="command_note" class="note"></p><p><code id="command"></code></p>
<p class="links"><a id="textproto" href="#">scenario</a></p>
<div class="row" id="saving" hidden><label class="grow">Save into the folder as<input id="file" pattern="[A-Za-z0-9_\-]+"></label><button id="save" type="button">Save</button></div>
</section>
</main>
)html";

}  // namespace

std::string_view app_page() {
  static const std::string kPage =
      std::string(
          "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta "
          "http-equiv=\"Content-Security-Policy\" "
          "content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
          "frame-src "
          "'self'; img-src data:\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          "<title>Flopcast</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>") +
      page_style() + std::string(kAppStyle) + "</style>\n</head>\n<body>" + std::string(kAppBody) + "<script>" +
      std::string(app_script()) + std::string(app_study_script()) + "</script>\n</body>\n</html>\n";
  return kPage;
}

}  // namespace flopcast
