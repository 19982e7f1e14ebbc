// An order book without a server of its own: all see the same orders in the same order, so all match them alike.
import { make } from './demo.js';

const LEVELS = 8;
const KEPT = 1000;

/** The book after all orders: what is open, the newest trades, and how many orders there were. */
class Book {
  open = { buy: [], sell: [] };
  trades = [];
  count = 0;

  /** Matches an order against the other side, the best price first, then the oldest. */
  add({ side, price, size, user, offset }) {
    if (!this.open[side] || !(price > 0 && price < 1e6) || !(size > 0 && size < 1e6)) return;
    this.count += 1;
    const others = this.open[side === 'buy' ? 'sell' : 'buy'];
    let left = size;
    while (left && others.length && (side === 'buy' ? others[0].price <= price : others[0].price >= price)) {
      const traded = Math.min(left, others[0].size);
      this.trades.unshift({ price: others[0].price, size: traded, buyer: side === 'buy' ? user : others[0].user });
      left -= traded;
      others[0].size -= traded;
      if (!others[0].size) others.shift();
    }
    this.trades.length = Math.min(this.trades.length, LEVELS);
    if (!left) return;
    const own = this.open[side];
    own.push({ price, size: left, user, offset });
    own.sort((a, b) => (side === 'buy' ? b.price - a.price : a.price - b.price) || a.offset - b.offset);
  }

  /** Sizes by price, the best first. */
  levels(side) {
    const sizes = new Map();
    for (const { price, size } of this.open[side]) sizes.set(price, (sizes.get(price) ?? 0) + size);
    return [...sizes].slice(0, LEVELS);
  }
}

export async function start({ roost, room, main }) {
  let book = new Book();
  const side = make('select', { id: 'side' }, make('option', { value: 'buy', textContent: 'Buy' }), make('option', { value: 'sell', textContent: 'Sell' }));
  const number = (id, value, label) => {
    const input = make('input', { id, type: 'number', min: 1, max: 999, step: 1, value, required: true });
    input.setAttribute('aria-label', label);
    return input;
  };
  const [size, price] = [number('size', 10, 'Size'), number('price', 100, 'Price')];
  side.setAttribute('aria-label', 'Side');
  const form = make('form', {}, side, size, 'at', price, make('button', { type: 'submit', textContent: 'Place the order' }));
  const open = make('tbody', { id: 'open' });
  const trades = make('tbody', { id: 'trades' });
  const heads = (...names) => make('thead', {}, make('tr', {}, ...names.map((textContent) => make('th', { textContent }))));
  main.append(form, make('div', { className: 'grid' }, make('table', {}, heads('Price', 'Size'), open), make('table', {}, heads('Traded at', 'Size', 'Buyer'), trades)));

  function show() {
    const row = (className, ...cells) => make('tr', { className }, ...cells.map((textContent) => make('td', { textContent })));
    open.replaceChildren(...book.levels('sell').reverse().map((each) => row('ask', ...each)), ...book.levels('buy').map((each) => row('bid', ...each)));
    trades.replaceChildren(...book.trades.map((each) => row('', each.price, each.size, each.buyer)));
  }

  // Orders that come while the history is read follow it.
  let waiting = [];
  function take(m) {
    if (waiting) waiting.push(m);
    else if (m.offset > book.offset) {
      book.add(m);
      book.offset = m.offset;
      show();
    }
  }
  room.on('message', take);
  room.on('joined', async ({ recovered }) => {
    if (recovered) return;
    waiting ??= [];
    const { messages } = await roost.history(room.name, { limit: KEPT });
    book = new Book();
    book.offset = 0;
    const held = waiting;
    waiting = null;
    for (const m of [...messages, ...held]) take(m);
    show();
  });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    // `echo`: this page's own order takes its place in the room's order, as everybody's does.
    room.send({ side: side.value, price: Number(price.value), size: Number(size.value) }, { echo: true }).catch((error) => { form.title = error.message; });
  });
  await room.join();
}
