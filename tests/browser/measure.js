// Measures the boxes of a page: returns what is cut, what lies on what, and what is missing, as sentences.
const faults = [];
const wide = document.documentElement.clientWidth;
if (document.documentElement.scrollWidth > wide) faults.push(`the page is ${document.documentElement.scrollWidth} px wide`);
const words = e => (e.textContent || e.getAttribute('aria-label') || e.tagName).trim().slice(0, 40);
const shown = e => { const b = e.getBoundingClientRect(); return b.width > 0 && b.height > 0 && e.checkVisibility({ visibilityProperty: true }); };
const inside = (a, b, slack) => a.left >= b.left - slack && a.right <= b.right + slack && a.top >= b.top - slack && a.bottom <= b.bottom + slack;
const meet = (a, b, slack) => a.left < b.right - slack && b.left < a.right - slack && a.top < b.bottom - slack && b.top < a.bottom - slack;
function apart(elements, slack, where) {
  const boxes = elements.filter(shown).map(e => [e.getBoundingClientRect(), e]);
  boxes.forEach(([a, e], i) => boxes.slice(i + 1).forEach(([b, f]) => {
    if (meet(a, b, slack) && !e.contains(f) && !f.contains(e)) faults.push(`${where}: "${words(e)}" lies on "${words(f)}"`);
  }));
}
for (const svg of document.querySelectorAll('svg.chart')) {
  if (!shown(svg)) continue;
  const box = svg.getBoundingClientRect(), around = svg.closest('figure').getBoundingClientRect();
  const frame = { left: around.left, right: around.right, top: box.top, bottom: box.bottom }, name = words(svg.querySelector('title') || svg), texts = [...svg.querySelectorAll('text')].filter(shown);
  if (!svg.querySelector(':scope > title')) faults.push(`a picture without a title`);
  if (!svg.querySelector(':scope > desc')?.textContent) faults.push(`${name}: no description`);
  if (!svg.closest('figure').querySelector('details table')) faults.push(`${name}: no table`);
  if (frame.right > wide + 1) faults.push(`${name}: beyond the page`);
  for (const text of texts) if (!inside(text.getBoundingClientRect(), frame, 1.5)) faults.push(`${name}: "${words(text)}" is cut`);
  apart(texts, 2, name);
  const circles = [...svg.querySelectorAll('circle')].filter(shown);
  for (const circle of circles) if (!inside(circle.getBoundingClientRect(), frame, 1.5)) faults.push(`${name}: a point is cut`);
}
// Tables scroll on narrow screens; on wide ones they are whole, and no row is made tall by a column that is too narrow.
for (const scroll of document.querySelectorAll('.scroll')) {
  if (!shown(scroll) || wide < 1180) continue;
  if (wide > 1900 && scroll.scrollWidth > scroll.clientWidth + 1) faults.push(`a table is cut: "${words(scroll)}", ${scroll.scrollWidth} px in ${scroll.clientWidth}`);
  for (const row of scroll.querySelectorAll('tr')) if (row.getBoundingClientRect().height > 200) faults.push(`a row is ${Math.round(row.getBoundingClientRect().height)} px high: "${words(row)}"`);
}
for (const canvas of document.querySelectorAll('canvas')) {
  if (!shown(canvas)) { faults.push('a viewer is not shown'); continue; }
  if (canvas.getBoundingClientRect().right > wide + 1) faults.push('a viewer is beyond the page');
}
apart([...document.querySelectorAll('h1, h2, p, ul, dl, figcaption, svg.chart, canvas, .scroll, summary')], 1, 'page');
for (const group of document.querySelectorAll('.bar, dl.figures')) apart([...group.children], 0.5, 'group');
for (const cell of document.querySelectorAll('dl.figures dd, dl.figures dt')) if (cell.scrollWidth > cell.clientWidth + 1) faults.push(`"${words(cell)}" is cut`);
return faults;
