// The edits of a text that several people write at once, and why all get the same text.
//
// Each character has a name, [site, n], that no other one ever gets: a site is one open window, n counts its characters.
// An edit does not count places, which others move: it inserts after the character of a name, and removes characters by
// name. Removed ones stay in the list, without their text, so that edits which others make meanwhile find their places.
// A room gives all messages one order. Every window applies all edits in that order from the same beginning, so all have
// the same text, and nothing is left to merge. What is inserted at one place at the same time stands in one order for all,
// and words are not mixed, because each character follows the one before it.
// A window shows its own edits at once, on top of what the room has delivered, and puts them on top of each message that
// comes before them (a rebase), until they come back in their place. An edit that is applied again changes nothing, so
// after a lost connection it is simply sent again.

// Characters are {site, n, text}; `text` is null for one that was removed.

export const LENGTH_MAX = 10_000; // characters: a text with its edits fits one message

/** The index of a character, or -1. */
export const find = (items, site, n) => items.findIndex((item) => item.site === site && item.n === n);

/** The characters after an edit. What follows a character that is not known comes last. */
export function apply(items, { site, n, after, text, remove }) {
  const isRemoved = (item) => remove.some(([of, from, count]) => item.site === of && item.n >= from && item.n < from + count);
  const next = items.map((item) => (isRemoved(item) ? { ...item, text: null } : item));
  if (!text || find(items, site, n) >= 0) return next;
  next.splice(after ? find(items, ...after) + 1 || items.length : 0, 0, ...unpack([[site, n, text]]));
  return next;
}

/** Characters as [site, n, text] for those that follow each other, and [site, n, count] for removed ones. */
export function pack(items) {
  const runs = [];
  let following;
  for (const { site, n, text } of items) {
    const last = runs.at(-1);
    if (last?.[0] === site && following === n && (typeof last[2] === 'string') === (text !== null)) last[2] += text ?? 1;
    else runs.push([site, n, text ?? 1]);
    following = n + 1;
  }
  return runs;
}

/** The characters of such runs; what is none is left out. */
export function unpack(runs) {
  return runs.filter(Array.isArray).flatMap(([site, n, body]) => {
    const texts = typeof body === 'string' ? [...body] : Array.from({ length: Math.min(body, LENGTH_MAX) || 0 }, () => null);
    return texts.map((text, i) => ({ site, n: n + i, text }));
  });
}
