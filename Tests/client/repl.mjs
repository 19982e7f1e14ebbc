// Evaluates what comes on standard input, a JSON string a line, and answers each with a line of JSON: for tests in Node.
import { createInterface } from 'node:readline';

// Waits of a minute and more, until a better transport is tried, take a thirtieth.
const { setTimeout: wait } = globalThis;
globalThis.setTimeout = (call, ms, ...rest) => wait(call, ms >= 60_000 ? ms / 30 : ms, ...rest);

globalThis.load = (path) => import(path);
if (process.env.WITH_WS) globalThis.ws = (await import('/usr/share/nodejs/ws/index.js')).default;

for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    answer = { value: (await (0, eval)(JSON.parse(line))) ?? null };
  } catch (error) {
    answer = { error: String(error?.stack ?? error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
