// Asks the admin endpoint, with a token that lives in this tab only: in no cookie, no other tab, and not in the address.

const KEY = 'roost.adminToken';
const TIMEOUT_MS = 10_000;
const RETRY_MS = 10_000; // when a refusal does not say when to come back

/**
 * Why there is no answer. `kind`: `token` (401, and 403 for the api-key), `wait` (429: too many guesses, come back in `waitMs`), `away` (the node,
 * or what stands before it, does not answer), `refused` (the node says no, with a status, as when Redis is out of reach).
 */
export class Refusal extends Error {
  constructor(kind, message, { waitMs = 0, status = 0 } = {}) {
    super(message);
    Object.assign(this, { kind, waitMs, status });
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
export const ask = (path, exact = false) => request(path, {}, exact);

/** Posts JSON to `/admin/` and `path`; `body` is an object, or its text as the operator wrote it. */
export const post = (path, body) => request(path, {
  method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body),
});

async function request(path, options, exact) {
  let response;
  let text;
  try {
    response = await fetch(path, {
      ...options,
      headers: { Authorization: `Bearer ${headerText(token.get() ?? '')}` },
      cache: 'no-store',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    text = await response.text();
  } catch {
    throw new Refusal('away', 'The node does not answer.');
  }
  const answer = parse(text, exact);
  if (answer === undefined) throw new Refusal('away', `What answers is not the node (status ${response.status}).`);
  if (response.ok) return answer;
  const message = answer?.error?.message ?? `status ${response.status}`;
  if (response.status === 401 || response.status === 403) throw new Refusal('token', 'This token is not the admin token.');
  // Only reads are refused for tokens; 429 to an order means that there are too many of what it asks for.
  if (response.status === 429 && response.headers.has('Retry-After')) {
    throw tooManyTokens(Number(response.headers.get('Retry-After')));
  }
  throw new Refusal('refused', message, { status: response.status });
}

/** The refusal of an address that has tried too many tokens, for so many seconds. */
export function tooManyTokens(seconds) {
  return new Refusal('wait', 'Too many wrong tokens from this address.', { waitMs: seconds > 0 ? seconds * 1000 : RETRY_MS });
}

/** Gives what a JSON text says, or undefined. With `exact`, numbers that would be rounded are kept as they are written. */
export function parse(text, exact = false) {
  try {
    return JSON.parse(text, exact && JSON.rawJSON ? keepExact : undefined);
  } catch {
    return undefined;
  }
}

function keepExact(_, value, context) {
  return typeof value === 'number' && String(value) !== context?.source ? JSON.rawJSON(context.source) : value;
}
