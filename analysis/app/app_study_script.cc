// The application's page: side by side, sweeps and plans, the order of passes; and how it begins.
#include "analysis/app/app.h"

namespace flopcast {

std::string_view app_study_script() {
  return R"js(
// Views.
const views = { library: 'Scenarios', result: 'Result', compare: 'Side by side', explore: 'Sweep and plan', schedule: 'Schedule' };
function open_tab(name) {
  state.tab = name; keep();
  for (const [id, words] of Object.entries(views)) { $('view_' + id).hidden = id !== name; const tab = $('tab_' + id); tab.setAttribute('aria-selected', String(id === name)); tab.tabIndex = id === name ? 0 : -1; }
  if (name === 'compare') show_side().catch(e => { $('compare_told').textContent = e.message; });
  if (name === 'schedule') show_schedule().catch(e => { $('schedule_told').textContent = e.message; });
}
for (const [id, words] of Object.entries(views)) { const b = make('button', words); b.type = 'button'; b.id = 'tab_' + id; b.setAttribute('role', 'tab'); b.setAttribute('aria-controls', 'view_' + id); b.onclick = () => open_tab(id); $('tabs').append(b); }
$('tabs').onkeydown = e => { const ids = Object.keys(views), step = { ArrowRight: 1, ArrowLeft: -1 }[e.key]; if (!step) return; const id = ids[(ids.indexOf(state.tab) + step + ids.length) % ids.length]; open_tab(id); $('tab_' + id).focus(); };
// Side by side.
const chosen = new Set(); let chosen_by_hand = false;
function show_choice() {
  const known = runs.filter(r => r.figures);
  if (!chosen_by_hand) { chosen.clear(); for (const r of known.slice(-2)) chosen.add(r.id); }
  $('chosen').replaceChildren(...known.map(r => { const label = make('label'), box = make('input'); box.type = 'checkbox'; box.checked = chosen.has(r.id); box.onchange = () => { chosen_by_hand = true; if (box.checked) chosen.add(r.id); else chosen.delete(r.id); show_side(); }; label.append(box, ' ' + (r.id + 1) + ': ' + r.label); return label; }));
  if (!known.length) $('chosen').append(make('p', 'Run a scenario first.', 'note'));
  if (state.tab === 'compare') show_side().catch(() => {});
}
const figures_of = {};
async function show_side() {
  const shown = runs.filter(r => r.figures && chosen.has(r.id));
  for (const r of shown) figures_of[r.id] ??= await get('figures?id=' + r.id);
  const names = new Map(); for (const r of shown) for (const f of figures_of[r.id]) if (!names.has(f.name)) names.set(f.name, f);
  const head = make('tr'); head.append(make('th', 'figure'));
  shown.forEach((r, i) => { const th = make('th', r.label, 'r'); if (i) { const b = make('button', 'causes'); b.type = 'button'; b.title = 'Causes of the difference to ' + shown[0].label; b.onclick = () => causes(shown[0].id, r.id); th.append(make('br'), b); } head.append(th); });
  const body = [];
  for (const [name, f] of names) {
    const cells = shown.map(r => figures_of[r.id].find(x => x.name === name)?.shown ?? ''), differ = new Set(cells).size > 1;
    if (!differ && !$('all_figures').checked && shown.length > 1 || name.startsWith('scenario.') && !differ) continue;
    const tr = make('tr'), first = make('td', f.title || name); first.title = name + ': ' + f.meaning; tr.append(first, ...cells.map(c => make('td', c, differ ? 'r differs' : 'r'))); body.push(tr);
  }
  const t = make('thead'), b = make('tbody'); t.append(head); b.append(...body); $('side').replaceChildren(t, b);
  $('compare_told').textContent = shown.length < 2 ? 'Choose two runs or more.' : `${body.length} figures ${$('all_figures').checked ? '' : 'differ'}`;
}
$('all_figures').onchange = () => show_side();
// Sweeps and plans.
let cloud = null, picked = null;
const more_is_better = name => /per_s|tokens_per|mfu|throughput|goodput|attainment|on_time/.test(name) && !/usd|joule/.test(name);
async function show_study(id) { open_tab('explore'); cloud = { id, ...(await get('points?id=' + id)) }; show_axes(); show_cloud(); }
function show_axes() {
  const numbers = cloud.figures.filter((f, i) => cloud.points.some(p => p.values[i] !== null) || cloud.points.length === 0);
  const option = f => new Option(`${f.title || f.name} (${f.name})`, f.name);
  for (const [select, first] of [['cloud_x', ['training.peak_memory_bytes', 'serving.output_tokens_per_s_per_user']], ['cloud_y', ['training.step_time_s', 'serving.output_tokens_per_s_per_gpu', 'collective.time_s', 'rl.step_time_s']]]) {
    const was = $(select).value; $(select).replaceChildren(...numbers.map(option));
    $(select).value = numbers.some(f => f.name === was) ? was : first.find(n => numbers.some(f => f.name === n)) ?? numbers[select === 'cloud_x' ? 1 % Math.max(numbers.length, 1) : 0]?.name ?? '';
  }
}
function nice(low, high, n) { const raw = (high - low) / n || 1, p = 10 ** Math.floor(Math.log10(raw)), step = [1, 2, 5, 10].map(k => k * p).find(k => k >= raw), out = []; for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-9; v += step) out.push(+v.toPrecision(12)); return out; }
const short = v => { if (!v) return '0'; for (const [k, s] of [[1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e3, 'k']]) if (Math.abs(v) >= k) return +(v / k).toPrecision(3) + s; return String(+v.toPrecision(3)); };
const svg = (tag, attributes, words) => { const e = document.createElementNS('http://www.w3.org/2000/svg', tag); for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v); if (words) e.textContent = words; return e; };
function show_cloud() {
  $('cloud_view').hidden = false;
  const ix = cloud.figures.findIndex(f => f.name === $('cloud_x').value), iy = cloud.figures.findIndex(f => f.name === $('cloud_y').value);
  const seen = cloud.points.map((p, i) => ({ p, i, x: p.values[ix], y: p.values[iy] })).filter(q => q.x != null && q.y != null);
  const fx = cloud.figures[ix], fy = cloud.figures[iy], gx = fx && more_is_better(fx.name) ? 1 : -1, gy = fy && more_is_better(fy.name) ? 1 : -1;
  // What nothing beats in both.
  const front = seen.filter(a => !seen.some(b => gx * b.x >= gx * a.x && gy * b.y >= gy * a.y && (b.x !== a.x || b.y !== a.y))).sort((a, b) => a.x - b.x);
  const width = Math.max($('view_explore').clientWidth, 320), height = 384, left = 62, right = 16, top = 14, bottom = 44;
  const s = svg('svg', { class: 'cloud', role: 'group', 'aria-label': fy ? `${seen.length} candidates: ${fy.title || fy.name} against ${fx.title || fx.name}; ${front.length} are beaten by none` : 'no candidate yet', width, height, viewBox: `0 0 ${width} ${height}` });
  if (seen.length) {
    const range = (values) => { let a = Math.min(...values), b = Math.max(...values); const pad = (b - a) * 0.06 || Math.abs(a) * 0.05 || 1; return [a - pad, b + pad]; };
    const [x0, x1] = range(seen.map(q => q.x)), [y0, y1] = range(seen.map(q => q.y));
    const X = v => left + (width - left - right) * (v - x0) / (x1 - x0), Y = v => height - bottom - (height - top - bottom) * (v - y0) / (y1 - y0);
    for (const v of nice(y0, y1, 6)) s.append(svg('line', { class: 'line', x1: left, x2: width - right, y1: Y(v), y2: Y(v) }), svg('text', { class: 'quiet', x: left - 6, y: Y(v) + 4, 'text-anchor': 'end' }, short(v)));
    for (const v of nice(x0, x1, Math.max(2, width / 130))) s.append(svg('line', { class: 'line', x1: X(v), x2: X(v), y1: top, y2: height - bottom }), svg('text', { class: 'quiet', x: X(v), y: height - bottom + 17, 'text-anchor': 'middle' }, short(v)));
    s.append(svg('text', { class: 'quiet', x: width - right, y: height - 6, 'text-anchor': 'end' }, (fx.title || fx.name) + (fx.unit && fx.unit !== '1' ? ', ' + fx.unit : '') + (gx > 0 ? ' (more is better)' : '')));
    s.append(svg('text', { class: 'quiet', x: left + 4, y: top + 10 }, (fy.title || fy.name) + (fy.unit && fy.unit !== '1' ? ', ' + fy.unit : '') + (gy > 0 ? ' (more is better)' : '')));
    s.append(svg('polyline', { class: 's-first', fill: 'none', 'stroke-width': 2, points: front.map(q => X(q.x).toFixed(1) + ',' + Y(q.y).toFixed(1)).join(' ') }));
    for (const q of seen) {
      const on = front.includes(q), c = svg('circle', { cx: X(q.x).toFixed(1), cy: Y(q.y).toFixed(1), r: picked === q.i ? 8 : on ? 6 : 4.5, class: (q.p.replayed ? 't-' : 'h-') + (on ? 'first' : 'eighth'), tabindex: on || picked === q.i ? 0 : -1, role: 'button', 'aria-label': `${q.p.name}: ${q.p.shown[iy]}, ${q.p.shown[ix]}` });
      c.append(svg('title', {}, `${q.p.name}: ${fy.title} ${q.p.shown[iy]}, ${fx.title} ${q.p.shown[ix]}`));
      c.onclick = () => pick(q.i); c.onkeydown = e => { if (e.key === 'Enter' || e.key === ' ') { e.preventDefault(); pick(q.i); } };
      s.append(c);
    }
  }
  $('cloud').replaceChildren(s);
  const head = make('tr'); head.append(make('th', 'candidate'), make('th', fy?.title || '', 'r'), make('th', fx?.title || '', 'r'), make('th', 'priced by'), make('th', ''));
  const t = make('thead'), b = make('tbody'); t.append(head);
  b.append(...cloud.points.map((p, i) => { const tr = make('tr'), td = make('td'), use = make('button', 'look'); use.type = 'button'; use.setAttribute('aria-label', 'look at ' + p.name); use.onclick = () => pick(i); td.append(use); tr.append(make('td', p.name), make('td', p.fault ? '' : p.shown[iy] ?? '', 'r'), make('td', p.fault ? '' : p.shown[ix] ?? '', 'r'), make('td', p.fault || (p.replayed ? 'replay' : 'closed form'), p.fault ? 'fault' : ''), td); return tr; }));
  $('cloud_table').replaceChildren(t, b);
  $('cloud_csv').href = 'csv?id=' + cloud.id; $('cloud_csv').download = '';
}
function pick(i) {
  picked = i; const p = cloud.points[i]; show_cloud();
  const use = make('button', 'Take it as the scenario'), both = make('button', 'Take and run it'); use.type = both.type = 'button';
  const take = async () => { const r = await get('inputs?id=' + cloud.id); Object.assign(state, { text: r.text, sets: { ...set_map(r.sets), ...set_map(p.sets) } }); $('text').value = r.text; changed(); show_fields(); };
  use.onclick = () => take().catch(e => tell(e.message));
  both.onclick = async () => { try { await take(); open_tab('result'); await run(); } catch (e) { tell(e.message); } };
  const row = make('div', '', 'row'); row.append(use, both);
  $('picked').replaceChildren(make('strong', p.name), make('p', p.fault || cloud.figures.map((f, k) => p.values[k] === null || k > 7 ? '' : (f.title || f.name) + ' ' + p.shown[k]).filter(Boolean).join(', ') + (p.replayed ? '' : ' (closed form)'), p.fault ? 'fault' : ''), row);
  document.querySelector(`svg.cloud circle[r="8"]`)?.focus();
}
async function study(what, q) {
  $('explore_told').textContent = '';
  try {
    const r = await post(what, q, state.text);
    if (r.faults) { $('explore_told').textContent = r.faults.map(fault_words).join(' '); return; }
    picked = null; cloud = { id: r.id, figures: [], points: [] }; let seen = -1; $('cloud_view').hidden = true;
    const look = async () => { const had = cloud.figures.length; cloud = { id: r.id, ...(await get('points?id=' + r.id)) }; if (cloud.figures.length !== had) show_axes(); show_cloud(); };
    const ended = await follow(r.id, async s => { if (s.points !== seen || what === 'plan') { seen = s.points; await look(); } });
    await look();
    const faulty = cloud.points.filter(p => p.fault).length;
    $('explore_told').textContent = ended.faults.length ? ended.faults.map(fault_words).join(' ') : `${ended.state}: ${cloud.points.length} candidates` + (faulty ? `, ${faulty} without a result (the table says why)` : '');
  } catch (e) { $('explore_told').textContent = e.message; }
}
const axes = () => state.axes.filter(([p, v]) => p && v).map(([p, v]) => p + '=' + v);
let study_file = '';
const quote = s => '"' + s.replaceAll('\\', '\\\\').replaceAll('"', '\\"') + '"', values_of = v => [...v.matchAll(/'([^']*)'|([^,]+)/g)].map(m => (m[1] ?? m[2]).trim()).filter(Boolean);
$('sweep').onclick = () => {
  const q = query(), file = (state.name || 'scenario') + '-study.textproto'; for (const a of axes()) q.append('axis', a);
  study_file = ['# flopcast sweep ' + file, 'scenario: ' + quote(state.edited ? (state.name || 'scenario') + '.textproto' : state.name), ...set_list(state.sets).map(s => 'set: ' + quote(s)), ...state.axes.filter(([p, v]) => p && v).map(([p, v]) => `axis { path: ${quote(p)} value: [${values_of(v).map(quote).join(', ')}] }`), ''].join('\n');
  $('cloud_command').textContent = 'flopcast sweep ' + shell(file); $('study_file').hidden = false; return study('sweep', q);
};
$('study_file').onclick = e => { e.preventDefault(); download((state.name || 'scenario') + '-study.textproto', 'text/plain', study_file); };
$('plan').onclick = () => { $('study_file').hidden = true; $('cloud_command').textContent = ['flopcast plan', scenario_word(), ...set_list(state.sets).map(s => '--set ' + shell(s)), '--open all'].join(' '); return study('plan', query()); };
for (const i of [0, 1]) for (const [what, k] of [['axis', 0], ['values', 1]]) $(what + i).oninput = () => { state.axes[i][k] = $(what + i).value.trim(); keep(); };
for (const id of ['cloud_x', 'cloud_y']) $(id).onchange = () => show_cloud();
$('cloud_svg').onclick = e => { e.preventDefault(); const copy = $('cloud').firstElementChild.cloneNode(true), style = svg('style', {}, ''), c = getComputedStyle(document.documentElement); style.textContent = `text{fill:${c.getPropertyValue('--ink')}}.line{stroke:${c.getPropertyValue('--line')}}.t-first{fill:${c.getPropertyValue('--first')}}.s-first{stroke:${c.getPropertyValue('--first')}}.t-eighth{fill:${c.getPropertyValue('--eighth')}}.h-first{fill:none;stroke:${c.getPropertyValue('--first')}}.h-eighth{fill:none;stroke:${c.getPropertyValue('--eighth')}}`; copy.prepend(style); download((state.name || 'study') + '-study.svg', 'image/svg+xml', new XMLSerializer().serializeToString(copy)); };
// The order of passes.
let plan = null, mark = [0, 0], undo = [], dragged = null;
const tone = { F: 'forward', B: 'backward', I: 'backward', W: 'weight', O: 'overlapped' };
function parse_order(text) { const order = { head: [], ranks: [] }; for (const line of text.split('\n')) { const m = /^\s*(\d+)\s*:(.*)$/.exec(line); if (m) order.ranks[+m[1]] = m[2].trim().split(/\s+/); else if (line.trim()) order.head.push(line); } return order; }
const write_order = o => [...o.head, ...o.ranks.map((r, i) => i + ': ' + r.join(' '))].join('\n') + '\n';
async function show_schedule(keep_undo) {
  let run = runs.find(r => r.id === state.shown && r.passes) ?? runs.filter(r => r.passes).at(-1);
  if (!run) { $('schedule_told').textContent = 'Run a training scenario with a pipeline first.'; plan = null; $('pipe_scroll').hidden = true; return; }
  if (plan?.id === run.id) return draw();
  const p = await get('pipeline?id=' + run.id), figures = await get('figures?id=' + run.id), inputs = await get('inputs?id=' + run.id);
  const figure = name => figures.find(f => f.name === name)?.shown ?? '';
  if (!p.order) { $('schedule_told').textContent = 'There are too many passes to move them one by one.'; $('pipe_scroll').hidden = true; return; }
  const before = plan;
  plan = { id: run.id, ...p, inputs, parsed: parse_order(p.order), rowed: Array.from({ length: p.rows }, () => []), told: `step ${figure('training.step_time_s')}, bubble ${figure('training.bubble_s')}, fullest GPU ${figure('training.peak_memory_bytes')}`, schedule: p.order };
  for (const b of p.blocks) plan.rowed[b[0]].push(b);
  if (!keep_undo) { undo = []; mark = [0, 0]; }
  $('pipe_scroll').hidden = false; $('undo').disabled = !undo.length; $('order').disabled = false;
  $('schedule_told').textContent = run.label + ': ' + plan.told + (keep_undo && before ? ` (before: ${before.told})` : '');
  draw();
}
function place(e) { const box = $('pipe').getBoundingClientRect(), x = (e.clientX - box.left - 34) / plan.scale, row = Math.floor((e.clientY - box.top) / plan.row); return row < 0 || row >= plan.rows ? null : { row, x, at: plan.rowed[row].findIndex(b => x >= b[4] && x <= b[5]) }; }
function draw(drag) {
  if (!plan) return;
  const canvas = $('pipe'), css = getComputedStyle(document.documentElement), colour = n => css.getPropertyValue('--' + n).trim(), zoom = +$('zoom').value, dots = devicePixelRatio || 1;
  const width = Math.min(($('pipe_scroll').clientWidth || 600) * zoom, 30000 / dots); plan.row = 24; plan.scale = (width - 36) / plan.end;
  canvas.style.width = width + 'px'; canvas.style.height = plan.rows * plan.row + 'px'; canvas.width = width * dots; canvas.height = plan.rows * plan.row * dots;
  const g = canvas.getContext('2d'); g.scale(dots, dots); g.font = '11px system-ui, sans-serif'; g.textBaseline = 'middle';
  for (let r = 0; r < plan.rows; ++r) {
    g.fillStyle = colour('quiet'); g.fillText(String(r), 2, r * plan.row + 12); g.fillStyle = colour('band'); g.fillRect(34, r * plan.row + 2, width - 36, 20);
    plan.rowed[r].forEach((b, i) => {
      const x = 34 + b[4] * plan.scale, w = Math.max(0.5, (b[5] - b[4]) * plan.scale - 0.3); g.fillStyle = colour(tone[b[1]]); g.fillRect(x, r * plan.row + 2, w, 20);
      if (w > 16) { g.fillStyle = colour('paper'); const words = plan.parsed.ranks[r]?.[i] ?? ''; if (g.measureText(words).width < w) g.fillText(words, x + 2, r * plan.row + 12); }
      if (mark[0] === r && mark[1] === i) { g.strokeStyle = colour('ink'); g.lineWidth = 2; g.strokeRect(x, r * plan.row + 2, Math.max(w, 3), 20); }
    });
  }
  for (const [r, from, to] of plan.endings) { g.fillStyle = colour('optimizer'); g.fillRect(34 + from * plan.scale, r * plan.row + 2, Math.max(0.5, (to - from) * plan.scale), 20); }
  if (drag) { g.fillStyle = colour('accent'); g.fillRect(drag.x - 1, drag.row * plan.row, 3, plan.row); }
}
function tell_pass() { const [r, i] = mark, b = plan.rowed[r][i]; if (b) $('pass_told').textContent = `rank ${r}, pass ${i + 1} of ${plan.rowed[r].length}: ${plan.parsed.ranks[r][i]}, stage ${b[2]}, from ${(1e3 * b[4]).toFixed(1)} ms for ${(1e3 * (b[5] - b[4])).toFixed(1)} ms`; }
let moving = false;
async function replay(order, remember) {
  if (moving) return;
  moving = true; $('schedule_faults').textContent = ''; const was = plan.schedule;
  try {
    // The pipeline's own scenario, whatever stands in the editor by now.
    const q = new URLSearchParams(); q.set('name', plan.inputs.name); for (const s of plan.inputs.sets) q.append('set', s); q.set('allow_oom', '1');
    const r = await post('run', q, plan.inputs.text + '\x1e' + order);
    if (r.faults) { $('schedule_faults').textContent = 'Not possible, so it stays as it was: ' + r.faults.map(fault_words).join(' '); return; }
    const ended = await follow(r.id);
    if (ended.state !== 'done') { $('schedule_faults').textContent = 'Not possible, so it stays as it was: ' + (ended.faults.map(fault_words).join(' ') || ended.state); return; }
    if (remember) undo.push(was);
    await show_schedule(true); tell_pass(); $('pipe').focus();
  } catch (e) { $('schedule_faults').textContent = e.message; } finally { moving = false; draw(); }
}
function move(row, from, to) {
  const ranks = plan.parsed.ranks.map(r => [...r]); to = Math.max(0, Math.min(ranks[row].length - 1, to));
  if (to === from) return;
  const [pass] = ranks[row].splice(from, 1); ranks[row].splice(to, 0, pass); mark = [row, to];
  return replay(write_order({ head: plan.parsed.head, ranks }), true);
}
$('pipe').onpointerdown = e => { const at = plan && place(e); if (!at || at.at < 0) return; mark = [at.row, at.at]; dragged = at; $('pipe').setPointerCapture(e.pointerId); $('pipe').focus(); draw(); tell_pass(); };
$('pipe').onpointermove = e => { if (!dragged) return; const x = e.clientX - $('pipe').getBoundingClientRect().left; draw({ row: dragged.row, x }); };
$('pipe').onpointerup = e => { if (!dragged) return; const { row, at } = dragged, x = (e.clientX - $('pipe').getBoundingClientRect().left - 34) / plan.scale; dragged = null; const blocks = plan.rowed[row], own = blocks[at]; if (x >= own[4] && x <= own[5]) return draw(); let to = blocks.filter((b, i) => i !== at && (b[4] + b[5]) / 2 < x).length; move(row, at, to); };
$('pipe').onkeydown = e => {
  if (!plan) return; let [r, i] = mark; const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key], down = { ArrowDown: 1, ArrowUp: -1 }[e.key];
  if (!step && !down) return; e.preventDefault();
  if (step && e.altKey) return move(r, i, i + step);
  if (step) i = Math.max(0, Math.min(plan.rowed[r].length - 1, i + step)); if (down) { r = Math.max(0, Math.min(plan.rows - 1, r + down)); i = Math.min(i, plan.rowed[r].length - 1); }
  mark = [r, i]; draw(); tell_pass();
};
$('zoom').oninput = () => draw(); addEventListener('resize', () => { draw(); if (cloud && !$('cloud_view').hidden) show_cloud(); });
$('undo').onclick = () => { const order = undo.pop(); $('undo').disabled = !undo.length; if (order) replay(order, false); };
$('order').onclick = () => download((state.name || 'scenario') + '.schedule', 'text/plain', '# training { schedule_file: "' + (state.name || 'scenario') + '.schedule" }\n' + plan.schedule);
// The beginning.
/// What was kept, as far as it is of the kinds that the page knows: it may be of another version, or damaged. Null: nothing.
function kept_state(text) {
  let it; try { it = JSON.parse(text || 'null'); } catch { return null; }
  if (it === null || typeof it !== 'object' || Array.isArray(it)) return null;
  const text_map = m => m !== null && typeof m === 'object' && !Array.isArray(m) && Object.values(m).every(v => typeof v === 'string');
  const texts = (l, n) => Array.isArray(l) && (!n || l.length === n) && l.every(v => typeof v === 'string');
  const sound = { name: v => typeof v === 'string', text: v => typeof v === 'string', edited: v => typeof v === 'boolean', sets: text_map, shown: v => v === null || Number.isInteger(v), tab: v => Object.hasOwn(views, v),
    old: v => Array.isArray(v) && v.every(o => o && typeof o.label === 'string' && typeof o.name === 'string' && typeof o.text === 'string' && texts(o.sets)), axes: v => Array.isArray(v) && v.length === 2 && v.every(a => texts(a, 2)) };
  return Object.fromEntries(Object.entries(it).filter(([k, v]) => sound[k]?.(v)));
}
(async () => {
  try {
    const all = await get('begin'), kept = kept_state(sessionStorage.getItem('flopcast')) ?? kept_state(all.session), url = new URLSearchParams(location.hash.slice(1));
    if (all.session_fault) tell(all.session_fault);
    runs = all.runs; folder = all.folder; $('saving').hidden = !folder;
    $('names').replaceChildren(...[...all.saved, ...all.scenarios].map(s => new Option(s)));
    if (kept) Object.assign(state, kept);
    if (!runs.some(r => r.id === state.shown)) state.shown = null;
    // An address may name what is no longer there.
    if (url.has('name') && url.get('name') !== state.name) try { Object.assign(state, { text: await get('scenario?name=' + encodeURIComponent(url.get('name'))), name: url.get('name'), sets: {}, edited: false }); } catch (e) { tell(e.message); }
    if (url.has('set')) state.sets = set_map(url.getAll('set'));
    if (!state.text && all.text) Object.assign(state, { name: all.first, text: all.text });
    if (!state.text) await load(all.scenarios[0]);
    $('text').value = state.text; $('name').value = state.name; state.axes.forEach(([p, v], i) => { $('axis' + i).value = p; $('values' + i).value = v; });
    const wanted = url.has('run') ? runs.find(r => r.id === +url.get('run')) : runs.find(r => r.id === state.shown);
    show_sets(); show_command(); show_runs(); show_fields();
    // What the library has is sound: nobody waits for the check to say so.
    if (!state.edited && !set_list(state.sets).length && all.scenarios.includes(state.name)) $('run').disabled = false;
    check_now();
    open_tab(Object.hasOwn(views, url.get('tab')) ? url.get('tab') : runs.length || url.has('name') ? 'result' : 'library');
    get('library').then(rows => { library = rows; show_library(); }).catch(e => tell(e.message));
    const on = runs.find(r => r.state === 'running');
    if (wanted?.state === 'done' && wanted.kind !== 'sweep' && wanted.kind !== 'plan') await show(wanted.id); else if (runs.some(r => r.state === 'done' && r.figures)) await show(runs.filter(r => r.state === 'done' && r.figures).at(-1).id);
    if (on) follow(on.id).catch(e => tell(e.message));
    // Fields are many: they come after everything else.
    fields = (await get('fields')).fields.filter(f => f.type !== 'section'); show_fields();
    $('paths').replaceChildren(...fields.map(f => new Option(f.path.replaceAll('[]', '[0]'))));
  } catch (e) { tell(e.message); }
})();
)js";
}

}  // namespace flopcast
