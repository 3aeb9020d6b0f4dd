#include "analysis/app/app.h"
#include "analysis/render/page.h"

namespace flopcast {
namespace {

constexpr std::string_view kAppStyle = R"css(
main { max-width: none; padding: .75rem 1rem 2rem; display: grid; gap: 1rem; grid-template-columns: minmax(0, 1fr); }
@media (min-width: 1000px) { main { grid-template-columns: minmax(22rem, 32rem) minmax(0, 1fr); } #right { position: sticky; top: .5rem; align-self: start; } }
h1 { font-size: 1.2rem; } h2 { font-size: 1rem; margin: 1rem 0 .3rem; padding: 0; border: 0; }
label { display: block; font-size: .875rem; color: var(--quiet); margin-top: .4rem; }
input, select, textarea, button { font: inherit; color: var(--ink); background: var(--paper); border: 1px solid var(--quiet); border-radius: .3rem; padding: .3rem .5rem; max-width: 100%; }
button { cursor: pointer; background: var(--band); min-height: 2.1rem; } button:disabled { color: var(--quiet); cursor: default; }
textarea { width: 100%; height: 18rem; font: .8125rem/1.45 ui-monospace, "DejaVu Sans Mono", monospace; resize: vertical; tab-size: 2; }
.row { display: flex; flex-wrap: wrap; gap: .4rem; align-items: end; } .row > * { flex: none; } .row .grow { flex: 1 1 10rem; min-width: 8rem; }
#faults li { color: var(--bad); } #facts { color: var(--quiet); font-size: .875rem; } progress { width: 100%; }
iframe { width: 100%; height: calc(100vh - 9rem); min-height: 30rem; border: 1px solid var(--line); background: var(--paper); }
#fields { max-height: 24rem; overflow: auto; border-top: 1px solid var(--line); } .field { padding: .45rem 0; border-bottom: 1px solid var(--line); font-size: .875rem; }
.field .what { color: var(--quiet); } .field input, .field select { width: 100%; } code { font-size: .8125rem; overflow-wrap: anywhere; }
.set { display: inline-flex; gap: .3rem; align-items: center; background: var(--band); border-radius: .3rem; padding: .1rem .4rem; font-size: .8125rem; overflow-wrap: anywhere; }
.set button { min-height: 0; padding: 0 .35rem; border: 0; } #runs { display: flex; flex-wrap: wrap; gap: .3rem; margin: .4rem 0; } [aria-pressed=true] { outline: 2px solid var(--accent); }
)css";

constexpr std::string_view kAppBody = R"html(
<main>
<section id="left" aria-label="scenario">
<h1>Flopcast</h1>
<div class="row"><label class="grow">Scenario of the library<input id="name" list="names" autocomplete="off" spellcheck="false"></label><datalist id="names"></datalist><button id="load" type="button">Load</button></div>
<label for="text">The scenario as text</label>
<textarea id="text" spellcheck="false" autocomplete="off"></textarea>
<div id="state" aria-live="polite"><ul id="faults"></ul><p id="facts"></p></div>
<div id="sets" class="row"></div>
<div class="row"><button id="run" type="button" disabled>Run</button><button id="cancel" type="button" disabled>Cancel</button><label><input id="oom" type="checkbox"> even if it does not fit into memory</label></div>
<progress id="progress" max="1" value="0" hidden></progress><p id="told" aria-live="polite" class="note"></p>
<h2>Change a field</h2>
<input id="find" type="search" placeholder="search: plan, bandwidth, batch ..." aria-label="search fields" style="width:100%">
<div id="fields" tabindex="0" role="region" aria-label="fields"></div>
<h2>Do this in the terminal</h2><p><code id="command"></code></p>
<div class="row" id="saving" hidden><label class="grow">Save into the folder as<input id="file" pattern="[A-Za-z0-9_\-]+"></label><button id="save" type="button">Save</button></div>
</section>
<section id="right" aria-label="results">
<div id="runs" role="group" aria-label="runs"></div>
<div class="row"><button id="causes" type="button" disabled>Causes of the difference</button><a id="html" hidden>page</a> <a id="json" hidden>JSON</a> <a id="csv" hidden>CSV</a></div>
<details id="difference" hidden><summary></summary><div class="scroll"><table><thead><tr><th>figure</th><th class="r">before</th><th class="r">now</th><th class="r">change</th></tr></thead><tbody></tbody></table></div></details>
<iframe id="page" title="results" sandbox="allow-scripts" hidden></iframe>
<p id="empty" class="note">Pick a scenario, change what you like, and run it: results stand here.</p>
</section>
</main>
)html";

constexpr std::string_view kAppScript = R"js(
'use strict';
const $ = id => document.getElementById(id), make = (tag, words, kind) => { const e = document.createElement(tag); if (words) e.textContent = words; if (kind) e.className = kind; return e; };
const state = { name: '', text: '', sets: {}, runs: [], shown: null };
const keep = () => { sessionStorage.setItem('flopcast', JSON.stringify(state)); const q = new URLSearchParams(); q.set('name', state.name); for (const [p, v] of Object.entries(state.sets)) q.append('set', p + '=' + v); if (state.shown !== null) q.set('run', state.shown); history.replaceState(null, '', '#' + q); };
const query = () => { const q = new URLSearchParams(); if (state.name) q.set('name', state.name); for (const [p, v] of Object.entries(state.sets)) q.append('set', p + '=' + v); return q; };
async function get(what) { const a = await fetch(what); if (!a.ok) throw new Error((await a.json()).error); return a.headers.get('content-type').startsWith('application/json') ? a.json() : a.text(); }
async function post(what, q, body) { const a = await fetch(what + '?' + q, { method: 'POST', headers: { 'X-Flopcast': '1' }, body: body ?? '' }); const j = await a.json(); if (!a.ok) throw new Error(j.error); return j; }
function tell(words) { $('told').textContent = words; }
function show_faults(faults, facts) {
  $('faults').replaceChildren(...faults.map(f => make('li', f.text))); $('facts').textContent = facts || '';
  $('run').disabled = faults.length > 0 || !state.text.trim();
}
let asked = 0, later = null;
function check() { clearTimeout(later); later = setTimeout(async () => {
  const mine = ++asked;
  if (!state.text.trim()) return show_faults([], '');
  try { const r = await post('check', query(), state.text); if (mine === asked) show_faults(r.faults, [r.title, r.facts].filter(Boolean).join(': ')); } catch (e) { tell(e.message); }
}, 250); }
function show_command() {
  const quote = s => /^[\w./=-]+$/.test(s) ? s : "'" + s.replaceAll("'", "'\\''") + "'";
  $('command').textContent = ['flopcast run', quote(state.edited ? (state.name || 'scenario') + '.textproto' : state.name), ...Object.entries(state.sets).map(([p, v]) => '--set ' + quote(p + '=' + v)), '--html page.html'].join(' ');
}
function show_sets() {
  $('sets').replaceChildren(...Object.entries(state.sets).map(([p, v]) => {
    const chip = make('span', p + '=' + v, 'set'), off = make('button', '×'); off.type = 'button'; off.setAttribute('aria-label', 'take back ' + p);
    off.onclick = () => { delete state.sets[p]; changed(); show_fields(); }; chip.append(off); return chip;
  }));
}
function changed() { keep(); show_sets(); show_command(); check(); }
let fields = [];
function show_fields() {
  const words = $('find').value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = fields.filter(f => words.every(w => (f.path + ' ' + f.meaning).toLowerCase().includes(w))).slice(0, 30);
  $('fields').replaceChildren(...found.map((f, i) => {
    const box = make('div', '', 'field'), path = f.path.replaceAll('[]', '[0]'), label = make('label', path); box.append(label);
    let input;
    if (f.allowed.length && f.type !== 'quantity') { input = make('select'); input.append(new Option('', '')); for (const a of f.allowed) input.append(new Option(a, a)); }
    else { input = make('input'); input.placeholder = f.default_value || f.unit; input.spellcheck = false; }
    input.id = 'field' + i; label.htmlFor = input.id; input.value = state.sets[path] ?? '';
    input.onchange = () => { if (input.value.trim()) state.sets[path] = input.value.trim(); else delete state.sets[path]; changed(); };
    const bounds = [f.unit && 'Write ' + f.unit, f.least && 'At least ' + f.least, f.most && 'At most ' + f.most, f.library && 'A name of ' + f.library].filter(Boolean).join('. ');
    box.append(input, make('div', f.meaning + (bounds ? ' ' + bounds + '.' : ''), 'what')); return box;
  }));
}
async function load(name) {
  try { state.text = await get('scenario?name=' + encodeURIComponent(name)); state.name = name; state.edited = false; $('text').value = state.text; changed(); } catch (e) { tell(e.message); }
}
function show_runs() {
  $('runs').replaceChildren(...state.runs.map(r => { const b = make('button', r.label); b.type = 'button'; b.setAttribute('aria-pressed', String(r.id === state.shown)); b.onclick = () => show(r.id); return b; }));
  $('causes').disabled = state.runs.filter(r => r.figures).length < 2;
}
async function show(id) {
  state.shown = id; keep(); show_runs();
  const run = state.runs.find(r => r.id === id);
  $('page').hidden = false; $('empty').hidden = true; $('page').src = 'page?id=' + id;
  for (const what of ['html', 'json', 'csv']) { const link = $(what); link.hidden = what !== 'html' && !run.figures; link.href = (what === 'html' ? 'page?save=1&id=' : what + '?id=') + id; link.download = ''; }
  const before = state.runs.filter(r => r.figures && r.id < id).at(-1);
  $('difference').hidden = !before || !run.figures;
  if (!before || !run.figures) return;
  const rows = await get(`difference?a=${before.id}&b=${id}`);
  $('difference').querySelector('summary').textContent = `${rows.length} figures differ from “${before.label}”`;
  $('difference').querySelector('tbody').replaceChildren(...rows.map(r => { const tr = make('tr'), name = make('td', r.title); name.title = r.name + ': ' + r.meaning; tr.append(name, make('td', r.was, 'r'), make('td', r.is, 'r'), make('td', r.change === null ? '' : (r.change > 0 ? '+' : '') + (100 * r.change).toFixed(1) + ' %', 'r')); return tr; }));
  $('difference').open = true;
}
let going = null;
async function follow(id, label, figures) {
  going = id; $('run').disabled = true; $('cancel').disabled = false; $('progress').hidden = false;
  for (;;) {
    const r = await get('state?id=' + id);
    if (r.state === 'running') {
      $('progress').removeAttribute('value'); if (r.all) $('progress').value = r.done / r.all;
      tell(r.stage ? `replaying ${r.stage}` + (r.all ? `, ${Math.round(100 * r.done / r.all)} %` : '') : 'preparing'); await new Promise(f => setTimeout(f, 100)); continue;
    }
    going = null; $('cancel').disabled = true; $('progress').hidden = true; $('run').disabled = false;
    if (r.state === 'done') { tell('done'); state.runs.push({ id, label, figures }); await show(id); }
    else { tell(r.state); if (r.faults.length) show_faults(r.faults, ''); $('run').disabled = false; }
    return;
  }
}
async function run() {
  try {
    const q = query(); if ($('oom').checked) q.set('allow_oom', '1');
    const r = await post('run', q, state.text);
    if (r.faults) return show_faults(r.faults, '');
    const label = (state.name || 'scenario') + Object.entries(state.sets).map(([p, v]) => ' ' + p.split('.').at(-1) + '=' + v).join('');
    await follow(r.id, label, true);
  } catch (e) { tell(e.message); }
}
$('run').onclick = run;
$('cancel').onclick = () => going !== null && post('cancel', 'id=' + going).catch(e => tell(e.message));
$('causes').onclick = async () => { const with_figures = state.runs.filter(r => r.figures), b = with_figures.find(r => r.id === state.shown) || with_figures.at(-1), a = with_figures.filter(r => r.id < b.id).at(-1) || with_figures.find(r => r.id !== b.id);
  try { const r = await post('compare', `a=${a.id}&b=${b.id}`); await follow(r.id, 'causes: ' + a.label + ' → ' + b.label, false); } catch (e) { tell(e.message); } };
$('load').onclick = () => load($('name').value.trim());
$('name').onkeydown = e => { if (e.key === 'Enter') load($('name').value.trim()); };
$('text').oninput = () => { state.text = $('text').value; state.edited = true; changed(); };
$('text').onkeydown = e => { if (e.key === 'Enter' && (e.ctrlKey || e.metaKey) && !$('run').disabled) run(); };
$('find').oninput = show_fields;
$('save').onclick = async () => { try { const r = await post('save', 'name=' + encodeURIComponent($('file').value), state.text); tell('saved: ' + r.file); } catch (e) { tell(e.message); } };
(async () => {
  try {
    const [all, list] = [get('scenarios'), get('fields')], { scenarios, folder } = await all;
    $('names').replaceChildren(...scenarios.map(s => new Option(s))); $('saving').hidden = !folder;
    const kept = JSON.parse(sessionStorage.getItem('flopcast') || 'null'), url = new URLSearchParams(location.hash.slice(1));
    if (kept) Object.assign(state, kept);
    if (url.has('name') && url.get('name') !== state.name) { state.sets = {}; await load(url.get('name')); }
    for (const s of url.getAll('set')) { const at = s.indexOf('='); state.sets[s.slice(0, at)] = s.slice(at + 1); }
    if (!state.text) await load(scenarios.includes('deepseek_v3_2048_h800') ? 'deepseek_v3_2048_h800' : scenarios[0]);
    $('text').value = state.text; $('name').value = state.name;
    fields = (await list).fields.filter(f => f.type !== 'section');
    const alive = []; for (const r of state.runs) { try { if ((await get('state?id=' + r.id)).state === 'done') alive.push(r); } catch {} }
    state.runs = alive; show_fields(); changed(); show_runs();
    if (alive.length) await show(alive.some(r => r.id === state.shown) ? state.shown : alive.at(-1).id);
  } catch (e) { tell(e.message); }
})();
)js";

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
      std::string(kAppScript) + "</script>\n</body>\n</html>\n";
  return kPage;
}

}  // namespace flopcast
