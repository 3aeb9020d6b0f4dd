#include "analysis/render/chart/page.h"

namespace flopcast {

// What is shown of an event comes from the page's own JSON and is written as text, never as HTML.
std::string_view viewer_script() {
  return R"js(
'use strict';
(() => {
const AXIS = 22, HEAD = 18, FINE = 1.5;  // events narrower than FINE pixels are drawn as shares of the columns they fall into
function decode(text) {
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; ++i) bytes[i] = raw.charCodeAt(i);
  let at = 0;
  const varint = () => { let v = 0, f = 1, b; do { b = bytes[at++]; v += (b & 127) * f; f *= 128; } while (b > 127); return v; };
  const signed = () => { const v = varint(); return v % 2 ? -(v + 1) / 2 : v / 2; };
  return { varint, signed };
}
function read(data) {
  const { varint, signed } = decode(data.events), rows = [];
  for (const [group, label] of data.rows) {
    const n = varint(), start = new Float64Array(n), end = new Float64Array(n), reach = new Float64Array(n);
    const name = new Uint16Array(n), tags = data.tags.map(() => new Uint32Array(n)), was = data.tags.map(() => 0);
    let last = 0, far = 0;
    for (let i = 0; i < n; ++i) {
      const from = last + signed(), to = from + varint();
      start[i] = from * data.unit; end[i] = to * data.unit; last = to;
      reach[i] = far = Math.max(far, end[i]);
      name[i] = varint();
      tags.forEach((tag, k) => { tag[i] = was[k] += signed(); });
    }
    rows.push({ group, label, n, start, end, reach, name, tags });
  }
  return rows;
}
function time(s, span) {
  const unit = span >= 2 ? [1, 's'] : span >= 2e-3 ? [1e3, 'ms'] : [1e6, 'µs'];
  const digits = Math.max(0, Math.min(6, 3 - Math.floor(Math.log10(span * unit[0] || 1))));
  return (s * unit[0]).toFixed(digits) + ' ' + unit[1];
}
function first(values, limit) {  // the first of rising values that lies beyond the limit
  let low = 0, high = values.length;
  while (low < high) { const mid = (low + high) >> 1; if (values[mid] > limit) high = mid; else low = mid + 1; }
  return low;
}
function viewer(root) {
  const data = JSON.parse(root.querySelector('script').textContent), all = read(data);
  const canvas = root.querySelector('canvas'), told = root.querySelector('.told'), bar = root.querySelector('.bar');
  const pen = canvas.getContext('2d'), groups = [...new Set(all.map(r => r.group))];
  let rows = all, from = 0, to = data.end || 1, chosen = null, asked = false;
  const css = name => getComputedStyle(root).getPropertyValue('--' + name).trim();
  // Rows of a group stand below its name, where a group has several.
  const headed = groups.length < all.length;
  let LEFT = 104, tops = [], bottom = 0;
  const width = () => canvas.clientWidth - LEFT;
  const x = t => LEFT + (t - from) / (to - from) * width();
  const y = i => tops[i];
  const begins = i => headed && (i === 0 || rows[i - 1].group !== rows[i].group);
  const name_of = row => headed ? row.label : row.group;
  function place() {
    pen.font = '12px system-ui, "Segoe UI", Arial, sans-serif';
    const widest = Math.max(...rows.map(r => pen.measureText(name_of(r)).width));
    LEFT = Math.ceil(Math.min(widest + 14, canvas.clientWidth * 0.45));
    tops = []; bottom = 2;
    rows.forEach((row, i) => { if (begins(i)) bottom += HEAD; tops.push(bottom); bottom += data.row; });
  }
  // Time of each kind in each column of pixels, of events too narrow to be seen one by one: all of them count.
  function shares(fine, column) {
    const times = new Map(), per = (to - from) / column;
    const add = (tone, start, end) => {
      let of = times.get(tone); if (!of) times.set(tone, of = new Float64Array(column));
      const first = Math.max(0, Math.floor((start - from) / per)), last = Math.min(column - 1, Math.floor((end - from) / per));
      for (let c = first; c <= last; ++c) of[c] += Math.max(0, Math.min(end, from + (c + 1) * per) - Math.max(start, from + c * per)) / per;
    };
    for (const [tone, start, end] of fine)
      if (tone !== 'overlapped') add(tone, start, end); else { add('forward', start, (start + end) / 2); add('backward', (start + end) / 2, end); }
    return times;
  }
  function draw() {
    asked = false; place();
    const scale = devicePixelRatio || 1, high = bottom + AXIS + 2;
    canvas.style.height = high + 'px';
    canvas.width = canvas.clientWidth * scale; canvas.height = high * scale;
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, canvas.clientWidth, high);
    pen.font = '12px system-ui, "Segoe UI", Arial, sans-serif';
    const ink = css('ink'), quiet = css('quiet'), line = css('line'), band = css('band'), colour = {};
    for (const [, tone] of data.names) colour[tone] = css(tone);
    colour.forward = css('forward'); colour.backward = css('backward');
    const raw = (to - from) / Math.max(2, width() / 110);
    const power = 10 ** Math.floor(Math.log10(raw)), step = [1, 2, 5, 10].map(d => d * power).find(s => s >= raw * 0.999);
    rows.forEach((row, i) => {
      const top = y(i), h = data.row - 4;
      pen.fillStyle = band; pen.fillRect(LEFT, top, width(), h);
      const fine = [];
      for (let e = first(row.reach, from); e < row.n && row.start[e] < to; ++e) {
        const tone = data.names[row.name[e]][1], start = x(row.start[e]), end = x(row.end[e]);
        if (end < LEFT) continue;
        if (end - start < FINE) { fine.push([tone, row.start[e], row.end[e]]); continue; }
        const a = Math.max(LEFT, start), b = Math.min(LEFT + width(), end), w = Math.max(b - a - (b - a > 4 ? 0.6 : 0), 0.4);
        if (tone === 'overlapped') {
          pen.fillStyle = colour.forward; pen.fillRect(a, top, w, h / 2);
          pen.fillStyle = colour.backward; pen.fillRect(a, top + h / 2, w, h / 2);
        } else { pen.fillStyle = colour[tone]; pen.fillRect(a, top, w, h); }
      }
      if (fine.length) {
        const column = Math.max(1, Math.floor(width())), wide = width() / column, filled = new Float64Array(column);
        for (const [tone, of] of shares(fine, column)) {
          pen.fillStyle = colour[tone];
          for (let c = 0; c < column; ++c) if (of[c] > 0) { const share = Math.min(of[c], 1 - filled[c]); pen.fillRect(LEFT + c * wide, top + h * (1 - filled[c] - share), wide, h * share); filled[c] += share; }
        }
      }
      pen.fillStyle = ink; pen.textBaseline = 'middle';
      if (begins(i)) { pen.textAlign = 'left'; pen.fillText(row.group, 0, top - HEAD / 2, canvas.clientWidth); }
      if (data.row >= 12 || i % 2 === 0) { pen.textAlign = 'right'; pen.fillText(name_of(row), LEFT - 8, top + h / 2, LEFT - 10); }
    });
    pen.textBaseline = 'alphabetic';
    for (let t = Math.ceil(from / step) * step; t <= to; t += step) {
      pen.fillStyle = line; pen.fillRect(x(t), 0, 1, bottom);
      const words = time(t, to - from), half = pen.measureText(words).width / 2;
      pen.fillStyle = quiet; pen.textAlign = 'center';
      pen.fillText(words, Math.min(x(t), LEFT + width() - half), bottom + 15);
    }
    if (chosen && rows.includes(chosen.row)) {
      const top = y(rows.indexOf(chosen.row)), a = x(chosen.row.start[chosen.e]), b = x(chosen.row.end[chosen.e]);
      pen.strokeStyle = ink; pen.lineWidth = 2;
      if (b >= LEFT && a <= LEFT + width()) pen.strokeRect(Math.max(a, LEFT), top, Math.max(2, Math.min(b, LEFT + width()) - Math.max(a, LEFT)), data.row - 4);
    }
  }
  const redraw = () => { if (!asked) { asked = true; requestAnimationFrame(draw); } };
  function tell() {
    if (!chosen) { told.textContent = 'Point at a block, or press n.'; return; }
    const { row, e } = chosen, span = row.end[e] - row.start[e];
    const tags = data.tags.map((tag, k) => tag + ' ' + row.tags[k][e]).join(', ');
    told.textContent = data.names[row.name[e]][0] + (tags ? ' (' + tags + ')' : '') + ', ' + row.group + (row.label ? ' ' + row.label : '') +
      '\n' + time(span, span) + ', from ' + time(row.start[e], data.end) + ' to ' + time(row.end[e], data.end);
  }
  function move(a, b) {
    const span = Math.min(Math.max(b - a, data.end * 1e-7), data.end || 1);
    from = Math.max(0, Math.min(a, (data.end || 1) - span)); to = from + span; redraw();
  }
  const zoom = (factor, t) => move(t - (t - from) * factor, t + (to - t) * factor);
  function at(event) {
    const box = canvas.getBoundingClientRect(), px = event.clientX - box.left, down = event.clientY - box.top, row = rows.find((_, i) => down >= tops[i] && down < tops[i] + data.row);
    const t = from + (px - LEFT) / width() * (to - from), slack = 2 * (to - from) / width();
    let found = null;
    if (row && px >= LEFT) for (let e = first(row.reach, t - slack); e < row.n && row.start[e] <= t + slack; ++e) {
      found = e; if (row.end[e] >= t) { if (row.start[e] <= t) break; }
    }
    return { t, row, px, hit: found === null ? null : { row, e: found } };
  }
  let drag = null;
  canvas.addEventListener('pointerdown', e => { drag = { x: e.clientX, from, to }; canvas.setPointerCapture(e.pointerId); });
  canvas.addEventListener('pointerup', () => { drag = null; });
  canvas.addEventListener('pointermove', e => {
    if (drag && e.buttons) { const d = (drag.x - e.clientX) / width() * (drag.to - drag.from); move(drag.from + d, drag.to + d); return; }
    const { hit } = at(e); if (hit) { chosen = hit; tell(); redraw(); }
  });
  canvas.addEventListener('dblclick', e => zoom(0.4, at(e).t));
  canvas.addEventListener('wheel', e => { if (e.ctrlKey || e.metaKey) { e.preventDefault(); zoom(e.deltaY > 0 ? 1.25 : 0.8, at(e).t); } }, { passive: false });
  function step(by) {
    if (!chosen) { const row = rows.find(r => r.n); if (!row) return; chosen = { row, e: 0 }; }
    else chosen = { row: chosen.row, e: Math.max(0, Math.min(chosen.row.n - 1, chosen.e + by)) };
    const a = chosen.row.start[chosen.e], b = chosen.row.end[chosen.e], span = to - from;
    if (a < from || b > to) move(a - span / 4, a - span / 4 + span);
    tell(); redraw();
  }
  function change(by) {
    if (!chosen) return step(0);
    const row = rows[Math.max(0, Math.min(rows.length - 1, rows.indexOf(chosen.row) + by))];
    if (!row.n) return;
    chosen = { row, e: Math.max(0, Math.min(row.n - 1, first(row.start, chosen.row.start[chosen.e]) - 1)) };
    tell(); redraw();
  }
  const keys = { ArrowLeft: () => move(from - (to - from) / 5, to - (to - from) / 5), ArrowRight: () => move(from + (to - from) / 5, to + (to - from) / 5),
    ArrowUp: () => change(-1), ArrowDown: () => change(1), '+': () => zoom(0.5, (from + to) / 2), '=': () => zoom(0.5, (from + to) / 2),
    '-': () => zoom(2, (from + to) / 2), 0: () => move(0, data.end), n: () => step(1), p: () => step(-1) };
  canvas.addEventListener('keydown', e => { const key = keys[e.key]; if (key && !e.ctrlKey && !e.metaKey && !e.altKey) { e.preventDefault(); key(); } });
  const button = (words, label, act) => {
    const b = document.createElement('button'); b.type = 'button'; b.textContent = words; b.setAttribute('aria-label', label);
    b.addEventListener('click', act); bar.append(b);
  };
  button('+', 'zoom in', keys['+']); button('−', 'zoom out', keys['-']); button('◀', 'earlier', keys.ArrowLeft); button('▶', 'later', keys.ArrowRight);
  button('all', 'show all', keys[0]);
  if (groups.length > 1) {
    const select = document.createElement('select'); select.setAttribute('aria-label', 'what is shown');
    for (const words of ['everything', ...groups]) { const o = document.createElement('option'); o.textContent = words; select.append(o); }
    select.addEventListener('change', () => { rows = select.selectedIndex ? all.filter(r => r.group === groups[select.selectedIndex - 1]) : all; chosen = null; tell(); redraw(); });
    bar.append(select);
  }
  const still = data.still && document.getElementById(data.still);
  root.hidden = false;
  if (still) { still.setAttribute('hidden', ''); still.classList.add('still'); }
  tell(); draw();
  new ResizeObserver(redraw).observe(root);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
}
// Decoded when it comes into sight: the page is there first.
const watch = new IntersectionObserver(seen => {
  for (const { isIntersecting, target } of seen) if (isIntersecting) { watch.unobserve(target); viewer(target.querySelector('.viewer')); }
}, { rootMargin: '300px' });
for (const root of document.querySelectorAll('.viewer')) watch.observe(root.parentElement);
})();
)js";
}

}  // namespace flopcast
