// The application's page: the scenario, its runs, and what differs between them.
#include "analysis/app/app.h"

namespace flopcast {

std::string_view app_script() {
  return R"js(
'use strict';
const $ = id => document.getElementById(id), make = (tag, words, kind) => { const e = document.createElement(tag); if (words) e.textContent = words; if (kind) e.className = kind; return e; };
const state = { name: '', text: '', edited: false, sets: {}, shown: null, tab: 'result', old: [], axes: [['', ''], ['', '']] };
let runs = [], folder = false, fields = [], stated = {};
const set_list = sets => Object.entries(sets).map(([p, v]) => p + '=' + v);
const set_map = list => Object.fromEntries(list.map(s => [s.slice(0, s.indexOf('=')), s.slice(s.indexOf('=') + 1)]));
let keeping = null;
function keep() {
  sessionStorage.setItem('flopcast', JSON.stringify(state));
  const q = new URLSearchParams(); q.set('name', state.name); for (const s of set_list(state.sets)) q.append('set', s); if (state.shown !== null) q.set('run', state.shown); if (state.tab !== 'result') q.set('tab', state.tab);
  history.replaceState(null, '', '#' + q);
  if (!folder) return;
  clearTimeout(keeping); keeping = setTimeout(() => post('keep', '', JSON.stringify(state)).catch(() => {}), 500);
}
const title_of = text => (text.match(/^\s*title:\s*["']([^"']*)/m) || [, ''])[1];
const query = () => { const q = new URLSearchParams(); if (state.name) q.set('name', state.name); for (const s of set_list(state.sets)) q.append('set', s); return q; };
async function answered(a) { const json = a.headers.get('content-type').startsWith('application/json'), told = json ? await a.json() : await a.text(); if (!a.ok) throw new Error(json ? told.error : 'the program refuses this'); return told; }
async function asked_of(what, how) { let a; try { a = await fetch(what, how); } catch { throw new Error('the program does not answer: was it ended? Start `flopcast app` again; the text stays in this tab.'); } return answered(a); }
const get = what => asked_of(what), post = (what, q, body) => asked_of(what + '?' + q, { method: 'POST', headers: { 'X-Flopcast': '1' }, body: body ?? '' });
function tell(words) { $('told').textContent = words; }
const fault_words = f => (f.line ? 'line ' + f.line + ': ' : '') + f.text.replace(/^:?\d+:\d+: /, '');
function show_faults(faults, facts) {
  $('faults').replaceChildren(...faults.map(f => make('li', fault_words(f)))); $('facts').textContent = facts || '';
  $('run').disabled = faults.length > 0 || !state.text.trim();
}
let asked = 0, later = null;
async function check_now() {
  const mine = ++asked;
  if (!state.text.trim()) return show_faults([], '');
  try { const r = await post('check', query(), state.text); if (mine === asked) { show_faults(r.faults, [r.title, r.facts].filter(Boolean).join(': ')); if (JSON.stringify(stated) !== JSON.stringify(r.stated)) { stated = r.stated; show_fields(); } } } catch (e) { tell(e.message); }
}
function check() { clearTimeout(later); later = setTimeout(check_now, 150); }
const shell = s => /^[\w./=,-]+$/.test(s) ? s : "'" + s.replaceAll("'", "'\\''") + "'";
let kept_file = null;  // the text as it was last saved
const scenario_word = () => shell(!state.edited ? state.name : kept_file?.text === state.text ? kept_file.file : (state.name || 'scenario') + '.textproto');
function show_command() {
  $('command_note').textContent = state.edited && kept_file?.text !== state.text ? 'with the text saved as ' + scenario_word() + ' (Save, or the link below):' : '';
  $('command').textContent = ['flopcast run', scenario_word(), ...set_list(state.sets).map(s => '--set ' + shell(s)), '--html page.html'].join(' '); }
function show_sets() {
  $('sets').replaceChildren(...set_list(state.sets).map(s => {
    const path = s.slice(0, s.indexOf('=')), chip = make('span', s, 'set'), off = make('button', '×'); off.type = 'button'; off.setAttribute('aria-label', 'take back ' + path);
    off.onclick = () => { delete state.sets[path]; changed(); show_fields(); $('run').focus(); }; chip.append(off); return chip;
  }));
}
function changed() { keep(); show_sets(); show_command(); check(); }
function show_fields() {
  const words = $('find').value.toLowerCase().split(/\s+/).filter(Boolean);
  // Of work that this scenario does not do only who asks for it sees the fields.
  const kinds = ['training', 'serving', 'rl', 'collective', 'cluster_life', 'given_service'], does = kinds.filter(k => Object.keys(stated).some(p => p.startsWith(k + '.')));
  const fits = f => { const kind = f.path.split(/[.[]/)[0]; return !does.length || !kinds.includes(kind) || does.includes(kind) || words.some(w => kind.startsWith(w)); };
  // Without words: what the scenario itself states. With words: that first, then what else there is.
  const said = f => f.path.replaceAll('[]', '[0]') in stated || f.path.replaceAll('[]', '[0]') in state.sets, all = fields.filter(fits);
  const hits = words.length ? all.filter(f => words.every(w => (f.path + ' ' + f.meaning).toLowerCase().includes(w))) : all.filter(f => said(f) && f.path !== 'title');
  const found = [...hits.filter(said), ...hits.filter(f => !said(f))].slice(0, words.length ? 30 : undefined);
  $('other_fields').textContent = !fields.length ? '' : hits.length > found.length ? `${hits.length - found.length} more have these words: add one.` : words.length ? '' : `These the scenario states. Of ${all.length} fields it might, the search finds the others.`;
  $('fields').replaceChildren(...found.map((f, i) => {
    const box = make('div', '', 'field'), path = f.path.replaceAll('[]', '[0]'), label = make('label', path); box.append(label);
    let input;
    if (f.allowed.length && f.type !== 'quantity') { input = make('select'); input.append(new Option('', '')); for (const a of f.allowed) input.append(new Option(a, a)); }
    else { input = make('input'); input.placeholder = f.default || f.unit; input.spellcheck = false; }
    // What is in force: changed here, or as the scenario says; the grey word is the default.
    const own = stated[path] ?? '', now = state.sets[path] ?? own;
    if (input.tagName === 'SELECT' && now && ![...input.options].some(o => o.value === now)) input.append(new Option(now, now));
    input.id = 'field' + i; label.htmlFor = input.id; input.value = now;
    input.onchange = () => { const said = input.value.trim(); if (said && said !== own) state.sets[path] = said; else { delete state.sets[path]; input.value = own; } changed(); };
    const bounds = [f.unit && 'Write ' + f.unit, f.default && 'Without it ' + f.default, f.min && 'At least ' + f.min, f.max && 'At most ' + f.max, f.library && 'One of the ' + f.library + ' of the library (flopcast list ' + f.library + ')', own && 'The scenario says ' + own].filter(Boolean).join('. ');
    box.append(input, make('div', f.meaning + (bounds ? ' ' + bounds + '.' : ''), 'what')); return box;
  }));
  if (!found.length) $('fields').replaceChildren(make('p', fields.length ? 'No field has these words.' : 'reading the fields ...', 'note'));
}
async function load(name) {
  try { state.text = await get('scenario?name=' + encodeURIComponent(name)); state.name = name; state.edited = false; state.sets = {}; $('text').value = state.text; $('name').value = name; tell(''); changed(); show_fields(); } catch (e) { tell(e.message); }
}
// What the library has, by kinds of work.
let library = [];
function show_library() {
  const words = $('library_find').value.toLowerCase().split(/\s+/).filter(Boolean), groups = new Map();
  for (const row of library) if (words.every(w => [row.name, row.title, row.figures, row.group].join(' ').toLowerCase().includes(w))) groups.set(row.group, [...groups.get(row.group) ?? [], row]);
  const order = ['Training', 'Serving', 'Reinforcement learning'], place = g => (order.indexOf(g) + 1) || order.length + 1;
  const shown = [...groups].sort((a, b) => place(a[0]) - place(b[0])).flatMap(([group, rows]) => { const cards = make('div', '', 'cards'); cards.append(...rows.map(row => { const card = make('button', row.title); card.type = 'button'; card.title = row.name; card.append(make('small', row.figures)); card.onclick = async () => { await load(row.name); tell('Run it, or change it first.'); $('run').focus(); }; return card; })); return [make('h2', group), cards]; });
  $('library').replaceChildren(...shown.length ? shown : [make('p', library.length ? 'No scenario has these words.' : 'reading the library ...', 'note')]);
}
$('library_find').oninput = show_library;
// Runs: the program knows them all, whichever browser began them.
async function refresh() { runs = await get('runs'); show_runs(); }
function show_runs() {
  const buttons = runs.filter(r => r.state === 'done' || r.state === 'running').map(r => { const b = make('button', (r.id + 1) + ': ' + r.label + (r.state === 'running' ? ' …' : '')); b.type = 'button'; b.setAttribute('aria-pressed', String(r.id === state.shown)); b.onclick = () => r.state === 'running' ? follow(r.id) : r.kind === 'sweep' || r.kind === 'plan' ? show_study(r.id) : show(r.id); return b; });
  // Of an earlier start of the program: what they asked for is known, not what came of it.
  const old = state.old.filter(o => !runs.some(r => r.label === o.label)).map(o => { const b = make('button', o.label + ' (not run since)', 'gone'); b.type = 'button'; b.onclick = () => { Object.assign(state, { name: o.name, text: o.text, sets: set_map(o.sets), edited: o.edited }); $('text').value = state.text; $('name').value = state.name; changed(); show_fields(); tell('its scenario is here again: run it'); }; return b; });
  $('runs').replaceChildren(...buttons, ...old);
  $('causes').disabled = runs.filter(r => r.figures).length < 2;
  show_choice();
}
async function show(id) {
  state.shown = id; keep(); show_runs();
  const run = runs.find(r => r.id === id);
  if (!run) return;
  if (state.tab === 'library') open_tab('result');
  $('page').hidden = false; $('empty').hidden = true; $('page').src = 'page?id=' + id; if (innerWidth < 1000 && state.tab === 'result') $('right').scrollIntoView();
  for (const what of ['html', 'json', 'csv', 'svg']) { const link = $(what); link.hidden = what === 'svg' ? !run.passes : what !== 'html' && !run.figures; link.href = (what === 'html' ? 'page?save=1&id=' : what + '?id=') + id; link.download = ''; }
  $('again').hidden = !run.figures;
  const before = runs.filter(r => r.figures && r.id < id).at(-1);
  $('difference').hidden = !before || !run.figures;
  if (!before || !run.figures) return;
  const rows = await get(`difference?a=${before.id}&b=${id}`);
  $('difference').querySelector('summary').textContent = `${rows.length} figures differ from “${before.label}”`;
  $('difference').querySelector('tbody').replaceChildren(...rows.map(r => { const tr = make('tr'), name = make('td', r.title); name.title = r.name + ': ' + r.meaning; tr.append(name, make('td', r.was, 'r'), make('td', r.is, 'r'), make('td', r.change === null ? '' : (r.change > 0 ? '+' : '') + (100 * r.change).toFixed(1) + ' %', 'r')); return tr; }));
  $('difference').open = true;
}
$('again').onclick = async () => { try { const r = await get('inputs?id=' + state.shown); Object.assign(state, { text: r.text, sets: set_map(r.sets) }); $('text').value = r.text; changed(); show_fields(); } catch (e) { tell(e.message); } };
let going = null;
/// Waits for a run. @return what became of it
async function follow(id, each) {
  going = id; $('run').disabled = true; $('cancel').disabled = false; $('progress').hidden = false; refresh().catch(() => {});
  const start = performance.now(); let r;
  try {
    for (let wait = 15; ; wait = Math.min(wait * 1.6, 250)) {
      r = await get('state?id=' + id);
      if (r.state !== 'running') break;
      $('progress').removeAttribute('value'); if (r.all) $('progress').value = r.done / r.all;
      const share = r.all ? r.done / r.all : 0, so_far = (performance.now() - start) / 1000, left = share > 0.02 && so_far > 2 ? so_far / share * (1 - share) : 0;
      tell((r.stage ? (r.kind === 'run' && !/^\w+ing\b/.test(r.stage) ? 'replaying ' : '') + r.stage + (r.all ? `, ${Math.round(100 * share)} %` : '') : 'preparing') + (left ? `, ${left < 100 ? Math.ceil(left) + ' s' : Math.ceil(left / 60) + ' min'} left` : ''));
      if (each) await each(r);
      await new Promise(f => setTimeout(f, wait));
    }
  } finally { if (going === id) { going = null; $('cancel').disabled = true; $('progress').hidden = true; $('run').disabled = !state.text.trim() || $('faults').children.length > 0; } }
  tell(r.state); await refresh();
  if (r.state === 'failed' && r.faults.length) { show_faults(r.faults, ''); $('run').disabled = false; }
  if (r.state === 'done' && (r.kind === 'run' || r.kind === 'comparison')) await show(id);
  return r;
}
async function begin_run(schedule) {
  const q = query(); if ($('oom').checked) q.set('allow_oom', '1');
  const r = await post('run', q, state.text + (schedule ? '\x1e' + schedule : ''));
  if (r.faults) return r;
  const ended = await follow(r.id), run = runs.find(x => x.id === r.id);
  if (run && !schedule) { state.old = state.old.filter(o => o.label !== run.label).concat([{ label: run.label, name: state.name, text: state.text, sets: set_list(state.sets), edited: state.edited }]).slice(-12); keep(); }
  return ended;
}
async function run() { if (state.tab === 'library') open_tab('result'); try { const r = await begin_run(''); if (r.faults?.length && r.state === undefined) show_faults(r.faults, ''); } catch (e) { tell(e.message); } }
$('run').onclick = run;
$('cancel').onclick = () => going !== null && post('cancel', 'id=' + going).catch(e => tell(e.message));
async function causes(a, b) { try { const r = await post('compare', `a=${a}&b=${b}`); open_tab('result'); await follow(r.id); } catch (e) { tell(e.message); } }
$('causes').onclick = () => { const known = runs.filter(r => r.figures), b = known.find(r => r.id === state.shown) || known.at(-1), a = known.filter(r => r.id < b.id).at(-1) || known.find(r => r.id !== b.id); return causes(a.id, b.id); };
$('load').onclick = () => load($('name').value.trim());
$('name').onkeydown = e => { if (e.key === 'Enter') load($('name').value.trim()); };
$('name').onchange = () => { if ([...$('names').options].some(o => o.value === $('name').value)) load($('name').value); };
// A text of another title is another scenario: what was loaded does not name it.
$('text').oninput = () => { const loaded = title_of(state.text); state.text = $('text').value; state.edited = true; if (state.name && title_of(state.text) !== loaded) { state.name = ''; $('name').value = ''; } changed(); };
addEventListener('keydown', e => { if (e.key === 'Enter' && (e.ctrlKey || e.metaKey) && !$('run').disabled) { e.preventDefault(); run(); } });
$('find').oninput = show_fields;
function download(name, type, text) { const a = make('a'); a.href = URL.createObjectURL(new Blob([text], { type })); a.download = name; a.click(); setTimeout(() => URL.revokeObjectURL(a.href), 1000); }
$('textproto').onclick = e => { e.preventDefault(); download((state.name || 'scenario') + '.textproto', 'text/plain', set_list(state.sets).map(s => '# flopcast run FILE --set ' + shell(s) + '\n').join('') + state.text); };
$('save').onclick = async () => { try { const r = await post('save', 'name=' + encodeURIComponent($('file').value), state.text); tell('saved: ' + r.file); kept_file = { file: r.file, text: state.text }; show_command(); const own = $('file').value; if (![...$('names').options].some(o => o.value === own)) $('names').append(new Option(own)); } catch (e) { tell(e.message); } };
)js";
}

}  // namespace flopcast
