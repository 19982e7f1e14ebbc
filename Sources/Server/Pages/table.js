// Puts values into the page. Names and messages are strangers' words: they get there through textContent only.

/** Makes an element with a class and a text; text goes in as text. */
export function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

/** Changes a text only when it differs, so that readers of the screen are not told again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Shows a text, or hides the element when there is none. */
export function setNote(element, text) {
  setText(element, text ?? '');
  element.hidden = !text;
}

const UNSEEN = /[\p{Cc}\u061c\u200b\u200e\u200f\u202a-\u202e\u2028\u2029\u2060\u2066-\u2069\ufeff]/gu;

/** Writes out what cannot be seen: a name that turns its own letters around would pass for another. */
export function seen(text) {
  return text.replace(UNSEEN, (c) => `‹U+${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}›`);
}

/**
 * Makes the rows of a table body be those of `items`. Rows keep their element from one time to the next, so that the
 * keyboard's place and a selection in them survive.
 *
 * A cell is `{ text, className, title, href, current, marks, aside, button }`, of which `marks` are `{ text, isBad }` and
 * `button` is `{ text, label, ...data }`, whose data its table's listener finds in `dataset`; the first cell of a row is its
 * header.
 */
export function fill(body, items, key, cells, rowClass = () => '') {
  const old = body.rowOf ?? new Map();
  const rowOf = new Map(items.map((item) => [key(item), old.get(key(item)) ?? make('tr')]));
  for (const [name, row] of old) if (!rowOf.has(name)) row.remove();
  let at = 0;
  for (const item of items) {
    const row = rowOf.get(key(item));
    if (body.rows[at] !== row) body.insertBefore(row, body.rows[at] ?? null);
    at = row.sectionRowIndex + 1;
    row.className = rowClass(item);
    cells(item).forEach((cell, index) => put(row, index, cell));
  }
  body.rowOf = rowOf;
}

function put(row, index, cell) {
  const content = JSON.stringify(cell);
  let element = row.cells[index];
  if (element?.content === content) return;
  if (!element) {
    element = row.appendChild(make(index === 0 ? 'th' : 'td'));
    if (index === 0) element.scope = 'row';
  }
  element.content = content;
  element.className = cell.className ?? '';
  element.title = cell.title ?? '';
  // A name that is written from right to left does not turn its neighbours around.
  const text = make(cell.href ? 'a' : 'bdi', '', seen(cell.text ?? ''));
  if (cell.href) {
    text.href = cell.href;
    text.dir = 'auto';
    if (cell.current) text.setAttribute('aria-current', 'true');
  }
  const parts = [text];
  for (const mark of cell.marks ?? []) parts.push(' ', make('span', mark.isBad ? 'mark bad' : 'mark', mark.text));
  if (cell.aside) parts.push(' ', make('bdi', 'aside', seen(cell.aside)));
  if (cell.button) parts.push(button(cell.button));
  element.replaceChildren(...parts);
}

function button({ text, label, ...data }) {
  const element = make('button', 'small', text);
  element.type = 'button';
  if (label) element.setAttribute('aria-label', seen(label));
  Object.assign(element.dataset, data);
  return element;
}

/** Empties a table. */
export const empty = (table) => fill(table.tBodies[0], [], () => '', () => []);

/** Draws the newest values of a series behind a number, from nothing to their greatest. */
export class Trend {
  constructor(element, pointsMax) {
    this.pointsMax = pointsMax;
    this.values = [];
    const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    svg.setAttribute('class', 'trend');
    svg.setAttribute('viewBox', `0 0 ${pointsMax - 1} 20`);
    svg.setAttribute('preserveAspectRatio', 'none');
    svg.setAttribute('aria-hidden', 'true');
    this.line = svg.appendChild(document.createElementNS(svg.namespaceURI, 'polyline'));
    element.after(svg);
  }

  clear() {
    this.values = [];
    this.line.removeAttribute('points');
  }

  add(value) {
    this.values.push(value);
    if (this.values.length > this.pointsMax) this.values.shift();
    const top = Math.max(1, ...this.values);
    const start = this.pointsMax - this.values.length;
    this.line.setAttribute('points', this.values.map((v, i) => `${start + i},${19 - (18 * v) / top}`).join(' '));
  }
}

const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const compact = new Intl.NumberFormat(undefined, { notation: 'compact', maximumFractionDigits: 1 });
const mebibytes = new Intl.NumberFormat(undefined, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

export const format = {
  count: (n) => (Number.isFinite(n) ? whole.format(n) : '–'),
  rate: (n) => (Number.isFinite(n) ? (n < 100 ? tenths : whole).format(n) : '–'),
  /** In as few characters as an axis has room for. */
  short: (n) => (Number.isFinite(n) ? compact.format(n) : '–'),
  milliseconds: (n) => (Number.isFinite(n) ? `${n < 10 ? Number(n.toPrecision(2)) : whole.format(n)} ms` : '–'),
  size(n) {
    if (!Number.isFinite(n)) return '–';
    const step = n < 1024 ? 0 : Math.min(4, Math.floor(Math.log2(n) / 10));
    return `${tenths.format(n / 1024 ** step)} ${['B', 'KiB', 'MiB', 'GiB', 'TiB'][step]}`;
  },
  bytes: (n) => (Number.isFinite(n) ? `${mebibytes.format(n / 2 ** 20)} MiB` : '–'),
  time: (ms) => clock.format(ms),
  moment: (ms) => moment.format(ms),
  duration(seconds) {
    if (!Number.isFinite(seconds)) return '–';
    const [d, h, m] = [seconds / 86_400, (seconds / 3600) % 24, (seconds / 60) % 60].map(Math.floor);
    if (d > 0) return `${d} d ${h} h`;
    if (h > 0) return `${h} h ${m} min`;
    return m > 0 ? `${m} min ${Math.floor(seconds % 60)} s` : `${Math.max(0, Math.floor(seconds))} s`;
  },
};
