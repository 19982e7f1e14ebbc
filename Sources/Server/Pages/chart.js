// Charts of the last 15 minutes, drawn as SVG: lines or stacked areas over time, with a cursor for mouse and keyboard.
import { format, make, setText } from './table.js';

const SVG = 'http://www.w3.org/2000/svg';
const SPAN_MS = 15 * 60_000;
const HEIGHT = 150;
const MARGIN = { left: 54, right: 8, top: 8, bottom: 18 };
const GAP = 1.6; // intervals without a sample after which a line is broken
const MINUTES = [15, 10, 5, 0];

function svg(tag, attributes, parent) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  parent?.append(element);
  return element;
}

/** The least round number that is not below `value`: where the axis ends. */
export function niceTop(value, least = 1) {
  const wanted = Math.max(value, least);
  const ten = 10 ** Math.floor(Math.log10(wanted));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((n) => n * ten).find((n) => n >= wanted * 0.999);
}

/** The least power of two that is not below `value`: where an axis of bytes ends. */
const binaryTop = (value, least) => 2 ** Math.ceil(Math.log2(Math.max(value, least)));

/**
 * One chart. `series` are `{ name, value(index) }`, values in the chart's unit and NaN for none; `show` writes one.
 * With `isStacked` they are areas on each other; with
 * `isBinary` they are bytes.
 */
export class Chart {
  #times = [];
  #interval = 5000;
  #values = []; // by series
  #isBad = () => false;
  #cursor = null; // an index into times; null: the newest
  #frame = 0;

  constructor(parent, { title, unit, series, show, least = 1, isStacked = false, isBinary = false }) {
    Object.assign(this, { title, series, show, least, isStacked, isBinary });
    const figure = make('figure', 'chart');
    const caption = figure.appendChild(make('figcaption'));
    const name = caption.appendChild(make('h3', '', title));
    name.append(' ', make('span', 'unit', unit));
    this.moment = caption.appendChild(make('span', 'moment'));
    this.plot = figure.appendChild(make('div', 'plot'));
    for (const [attribute, value] of Object.entries({
      role: 'slider', tabindex: '0', 'aria-label': `${title}, ${unit}: moment`, 'aria-valuemin': '0', 'aria-valuemax': '0',
      'aria-valuenow': '0', 'aria-valuetext': 'No samples yet',
    })) this.plot.setAttribute(attribute, value);
    this.svg = svg('svg', { 'aria-hidden': 'true' }, this.plot);
    this.empty = this.plot.appendChild(make('p', 'hint', 'No samples yet: the first takes up to ten seconds.'));
    this.legend = figure.appendChild(make('ul', 'legend'));
    this.numbers = series.map((one, index) => {
      const item = this.legend.appendChild(make('li'));
      const key = svg('svg', { class: 'key', viewBox: '0 0 20 8', 'aria-hidden': 'true' }, item);
      svg(isStacked ? 'rect' : 'line', isStacked
        ? { class: `area s${index}`, width: 20, height: 8 } : { class: `line s${index}`, x1: 0, x2: 20, y1: 4, y2: 4 }, key);
      item.append(make('span', '', one.name));
      return item.appendChild(make('b'));
    });
    parent.append(figure);
    this.#listen();
    new ResizeObserver(() => this.#drawSoon()).observe(this.plot);
  }

  /** Shows samples: `times` in milliseconds, ascending; `isBad(index)` shades what was measured without Redis. */
  update(times, interval, isBad = () => false) {
    const at = this.#cursor === null ? null : this.#times[this.#cursor];
    this.#times = times;
    this.#interval = interval;
    this.#isBad = isBad;
    this.#values = this.series.map(({ value }) => times.map((_, index) => value(index)));
    // The cursor stays where it is in time.
    this.#cursor = at === null ? null : nearest(times, at);
    this.#drawSoon();
  }

  #listen() {
    this.plot.addEventListener('pointermove', (event) => this.#point(event));
    this.plot.addEventListener('pointerdown', (event) => this.#point(event));
    this.plot.addEventListener('pointerleave', () => this.#move(null));
    this.plot.addEventListener('blur', () => this.#move(null));
    this.plot.addEventListener('keydown', (event) => {
      const last = this.#times.length - 1;
      const from = this.#cursor ?? last;
      const to = {
        ArrowLeft: from - 1, ArrowDown: from - 1, ArrowRight: from + 1, ArrowUp: from + 1, PageDown: from - 12,
        PageUp: from + 12, Home: 0, End: last,
      }[event.key];
      if (event.key === 'Escape') this.#move(null);
      if (to === undefined || last < 0) return;
      event.preventDefault();
      this.#move(Math.min(last, Math.max(0, to)));
    });
  }

  #point(event) {
    const box = this.plot.getBoundingClientRect();
    const part = (event.clientX - box.left - MARGIN.left) / (box.width - MARGIN.left - MARGIN.right);
    this.#move(nearest(this.#times, this.#start + part * SPAN_MS));
  }

  #move(index) {
    this.#cursor = index;
    this.#drawSoon();
  }

  get #start() { return (this.#times.at(-1) ?? 0) - SPAN_MS; }

  #drawSoon() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  // --- Drawing ---

  #draw() {
    const width = this.plot.clientWidth;
    this.empty.hidden = this.#times.length > 0;
    this.#readOut();
    if (!width || !this.#times.length) return this.svg.replaceChildren();
    const sums = this.isStacked ? this.#stack() : this.#values;
    const top = (this.isBinary ? binaryTop : niceTop)(Math.max(0, ...sums.flat().filter(Number.isFinite)), this.least);
    const [w, h] = [width - MARGIN.left - MARGIN.right, HEIGHT - MARGIN.top - MARGIN.bottom];
    const x = (time) => MARGIN.left + ((time - this.#start) / SPAN_MS) * w;
    const y = (value) => MARGIN.top + h - (value / top) * h;
    const parts = document.createDocumentFragment();
    this.#axes(parts, x, y, top, width);
    this.#shade(parts, x, h);
    sums.forEach((_, index) => this.#series(parts, sums, sums.length - 1 - index, x, y));
    this.#mark(parts, sums, x, y);
    this.svg.setAttribute('viewBox', `0 0 ${width} ${HEIGHT}`);
    this.svg.replaceChildren(parts);
    return undefined;
  }

  #stack() {
    const sums = [];
    this.#values.forEach((values, index) => {
      sums.push(values.map((value, at) => (index ? sums[index - 1][at] : 0) + (value || 0)));
    });
    return sums;
  }

  #axes(parent, x, y, top, width) {
    for (const value of [0, top / 2, top]) {
      svg('line', { class: 'grid', x1: MARGIN.left, x2: width - MARGIN.right, y1: y(value), y2: y(value) }, parent);
      const label = svg('text', { class: 'tick', x: MARGIN.left - 6, y: y(value) + 4, 'text-anchor': 'end' }, parent);
      label.textContent = this.show(value);
    }
    for (const minutes of MINUTES) {
      const anchor = minutes === 15 ? 'start' : minutes === 0 ? 'end' : 'middle';
      const at = x(this.#times.at(-1) - minutes * 60_000);
      const label = svg('text', { class: 'tick', x: at, y: HEIGHT - 4, 'text-anchor': anchor }, parent);
      label.textContent = minutes ? `−${minutes} min` : 'now';
    }
  }

  #shade(parent, x, height) {
    this.#times.forEach((time, index) => {
      if (!this.#isBad(index)) return;
      const from = Math.max(MARGIN.left, x(time - this.#interval));
      svg('rect', { class: 'outage', x: from, y: MARGIN.top, width: Math.max(1, x(time) - from), height }, parent);
    });
  }

  /** The runs of samples without a gap, as lists of indices. */
  #runs(values) {
    const runs = [];
    let last = null;
    values.forEach((value, index) => {
      if (!Number.isFinite(value)) return;
      if (last === null || this.#times[index] - this.#times[last] > GAP * this.#interval) runs.push([]);
      runs.at(-1).push(index);
      last = index;
    });
    return runs;
  }

  #series(parent, sums, index, x, y) {
    const point = (values, at) => `${x(this.#times[at]).toFixed(1)},${y(values[at]).toFixed(1)}`;
    for (const run of this.#runs(sums[index])) {
      const upper = run.map((at) => point(sums[index], at));
      if (this.isStacked) {
        const zero = this.#times.map(() => 0);
        const lower = run.map((at) => point(index ? sums[index - 1] : zero, at)).reverse();
        svg('polygon', { class: `area s${index}`, points: [...upper, ...lower].join(' ') }, parent);
      }
      if (run.length === 1) {
        svg('circle', { class: `dot s${index}`, cx: x(this.#times[run[0]]), cy: y(sums[index][run[0]]), r: 1.5 }, parent);
      } else {
        svg('polyline', { class: `line s${index}`, points: upper.join(' ') }, parent);
      }
    }
  }

  #mark(parent, sums, x, y) {
    if (this.#cursor === null) return;
    const at = x(this.#times[this.#cursor]);
    svg('line', { class: 'cursor', x1: at, x2: at, y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom }, parent);
    sums.forEach((values, index) => {
      if (!Number.isFinite(values[this.#cursor])) return;
      svg('circle', { class: `dot s${index}`, cx: at, cy: y(values[this.#cursor]), r: 3 }, parent);
    });
  }

  #readOut() {
    const last = this.#times.length - 1;
    const at = this.#cursor ?? last;
    const texts = this.#values.map((values) => this.show(values[at] ?? NaN));
    this.numbers.forEach((number, index) => setText(number, texts[index] ?? '–'));
    setText(this.moment, this.#cursor === null || last < 0 ? '' : format.time(this.#times[at]));
    this.plot.setAttribute('aria-valuemax', String(Math.max(0, last)));
    this.plot.setAttribute('aria-valuenow', String(Math.max(0, at)));
    if (last < 0) return;
    const values = this.series.map(({ name }, index) => `${name} ${texts[index]}`).join(', ');
    this.plot.setAttribute('aria-valuetext', `${format.time(this.#times[at])}: ${values}`);
  }
}

function nearest(times, wanted) {
  let best = null;
  times.forEach((time, index) => {
    if (best === null || Math.abs(time - wanted) < Math.abs(times[best] - wanted)) best = index;
  });
  return best;
}
