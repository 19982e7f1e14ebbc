// Asks the admin endpoint, with a token that lives in this tab only: in no cookie, no other tab, and not in the address.

const KEY = 'roost.adminToken';
const TIMEOUT_MS = 10_000;
const RETRY_MS = 10_000; // when a refusal does not say when to come back

/**
 * Why there is no answer. `kind`: `token` (401, and 403 for the api-key), `wait` (429: too many guesses, come back in `waitMs`), `away` (the node,
 * or what stands before it, does not answer), `refused` (the node says no, as when Redis is out of reach).
 */
export class Refusal extends Error {
  constructor(kind, message, waitMs = 0) {
    super(message);
    this.kind = kind;
    this.waitMs = waitMs;
  }
}

let kept = null; // for browsers that have no storage for this page

export const token = {
  get() { try { return sessionStorage.getItem(KEY) ?? kept; } catch { return kept; } },
  set(text) {
    kept = text;
    try { sessionStorage.setItem(KEY, text); } catch { /* kept in memory */ }
  },
  forget() {
    kept = null;
    try { sessionStorage.removeItem(KEY); } catch { /* it was in memory only */ }
  },
};

/** Takes `?token=` or `#token=` out of the address, so that no bookmark, history or shared screen keeps it. */
export function takeTokenFromAddress() {
  const query = new URLSearchParams(location.search);
  const fragment = new URLSearchParams(location.hash.slice(1));
  const given = query.get('token') || fragment.get('token');
  if (!query.has('token') && !fragment.has('token')) return;
  query.delete('token');
  fragment.delete('token');
  const rest = (mark, parameters) => (String(parameters) ? `${mark}${parameters}` : '');
  history.replaceState(null, '', location.pathname + rest('?', query) + rest('#', fragment));
  if (given) token.set(given);
}

/** A header carries bytes: the token's UTF-8, without the control characters that no header may have. */
function headerText(text) {
  return String.fromCharCode(...new TextEncoder().encode(text.replace(/\p{Cc}/gu, '').trim()));
}

/** Escapes a name for an address. Half a surrogate pair, which cannot be, becomes U+FFFD. */
export const escape = (name) => encodeURIComponent(name.replace(/[\ud800-\udfff]/gu, '\ufffd'));

/** Gives a room's or user's name as a part of a path. A dot or two are a step in the path, however they are escaped. */
export function part(name) {
  if (name === '.' || name === '..') throw new Refusal('refused', 'A browser cannot ask for this name.');
  return escape(name);
}

/**
 * Gets `/admin/` and `path` as JSON, or throws a Refusal. With `exact`, numbers that JavaScript would round are kept as
 * they are written, where the browser can.
 */
export async function ask(path, exact = false) {
  let response;
  let text;
  try {
    response = await fetch(path, {
      headers: { Authorization: `Bearer ${headerText(token.get() ?? '')}` },
      cache: 'no-store',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    text = await response.text();
  } catch {
    throw new Refusal('away', 'The node does not answer.');
  }
  let answer;
  try {
    answer = JSON.parse(text, exact && JSON.rawJSON ? keepExact : undefined);
  } catch {
    throw new Refusal('away', `What answers is not the node (status ${response.status}).`);
  }
  if (response.ok) return answer;
  const message = answer?.error?.message ?? `status ${response.status}`;
  if (response.status === 401 || response.status === 403) throw new Refusal('token', 'This token is not the admin token.');
  if (response.status === 429) {
    const seconds = Number(response.headers.get('Retry-After'));
    throw new Refusal('wait', 'Too many wrong tokens from this address.', seconds > 0 ? seconds * 1000 : RETRY_MS);
  }
  throw new Refusal('refused', message);
}

function keepExact(_, value, context) {
  return typeof value === 'number' && String(value) !== context?.source ? JSON.rawJSON(context.source) : value;
}
