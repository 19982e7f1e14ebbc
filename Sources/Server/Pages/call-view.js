// Elements of the call page. Text goes in as text.
const LOG_MAX = 300; // lines kept of a call

/** Makes an element with a class and a text. */
export function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

/** Makes a button; `label` says to a screen reader what it is about. */
export function button(text, label, press) {
  const element = make('button', '', text);
  element.type = 'button';
  element.setAttribute('aria-label', label);
  element.addEventListener('click', press);
  return element;
}

/** Appends a line to the log of a call. */
export function line(log, text, isOwn) {
  const item = make('li', isOwn ? 'own' : '', text);
  log.append(item);
  while (log.childElementCount > LOG_MAX) log.firstElementChild.remove();
  log.scrollTop = log.scrollHeight;
  return item;
}

const WORDS = { moving: '', refused: 'declined', failed: 'was not completed: send it again' };

/** Shows the state of a file in its line; `answer` takes it or refuses it. */
export function showFile(file, answer) {
  const { item, name, size, moved, state, own } = file;
  if (state === 'moving' && item.bar) {
    item.bar.value = moved;
    return;
  }
  const measure = size < 1024 ? `${size} B` : size < 1024 ** 2 ? `${Math.round(size / 1024)} KiB` : `${(size / 1024 ** 2).toFixed(1)} MiB`;
  const word = { ...WORDS, offered: own ? 'waits for an answer' : 'is offered', done: own ? 'sent' : 'received' }[state];
  item.replaceChildren(make('span', '', `${name} (${measure}) ${word}`));
  item.bar = null;
  if (state === 'offered' && !own) {
    item.append(make('br'), button('Receive', `Receive ${name}`, () => answer(true)), button('Decline', `Decline ${name}`, () => answer(false)));
  } else if (state === 'moving') {
    item.bar = make('progress');
    Object.assign(item.bar, { max: size || 1, value: moved, ariaLabel: name });
    item.append(item.bar);
  } else if (state === 'done' && file.result) {
    const link = make('a', '', 'Download');
    Object.assign(link, { href: URL.createObjectURL(file.result), download: name, ariaLabel: `Download ${name}` });
    item.append(make('br'), link);
  }
  item.parentElement.scrollTop = item.parentElement.scrollHeight;
}
