// What is asked of the server. Addresses are relative to the page, so that it works anywhere.

const KEPT_BYTES = 96 * 2 ** 20;
const TYPES = { float32: Float32Array, int16: Int16Array };

// Options of the command line that messages name; here they were clicked.
const OPTIONS = [[/--split /g, "cluster "], [/--(merge|background|rename|revision|from) /g, ""]];
const onPage = (text) => OPTIONS.reduce((so, [option, word]) => so.replace(option, word), String(text));

/** The server said no: what it needed, what it found and what to do; perhaps to replace what is there. */
export class Refused extends Error {
  constructor(status, { needed = "", found = "", remedy = "", replaceable = false }) {
    const sentences = [needed && `Needed: ${needed}.`, found && `Found: ${found}.`, remedy && `What to do: ${remedy}.`];
    super(onPage(sentences.filter(Boolean).join(" ")));
    Object.assign(this, { status, needed, found, remedy, replaceable });
  }
}

/** Nobody answered. */
export class Unanswered extends Error {}

export const connection = new EventTarget();

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", cache: "no-store", ...options });
  } catch (error) {
    if (error.name === "AbortError" || error.name === "TimeoutError") throw error;
    connection.dispatchEvent(new Event("lost"));
    throw new Unanswered("The server does not answer.");
  }
  connection.dispatchEvent(new Event("there"));
  if (!response.ok) {
    const said = await response.json().catch(() => ({}));
    if (!said.needed && !said.found) said.found = `answer ${response.status} of the server`;
    throw new Refused(response.status, said);
  }
  return response;
}

/** Write an address with what is asked; what is null or undefined is left out. */
export function address(path, asked = {}) {
  const query = new URLSearchParams(Object.entries(asked).filter(([, value]) => value != null));
  return query.size ? `${path}?${query}` : path;
}

export const getJson = async (path, signal) => (await ask(path, { signal })).json();

export async function post(path, body, signal) {
  const headers = { "Content-Type": "application/json" };
  return (await ask(path, { method: "POST", headers, body: JSON.stringify(body), signal })).json();
}

/** Ask for an array: {data, shape, headers}. */
export async function getArray(path, signal) {
  const response = await ask(path, { signal });
  const shape = response.headers.get("X-Shape").split(",").map(Number);
  const data = new TYPES[response.headers.get("X-Dtype")](await response.arrayBuffer());
  return { data, shape, headers: response.headers };
}

// Arrays that were asked for, the latest last.
const kept = new Map();
let bytes = 0;

/** As `getArray`, but what was asked before is not asked again; the oldest is dropped. */
export async function getKept(path, signal) {
  const found = kept.get(path);
  if (found) {
    kept.delete(path);
    kept.set(path, found);
    return found;
  }
  const array = await getArray(path, signal);
  kept.set(path, array);
  bytes += array.data.byteLength;
  for (const [oldest, { data }] of kept) {
    if (bytes <= KEPT_BYTES || oldest === path) break;
    kept.delete(oldest);
    bytes -= data.byteLength;
  }
  return array;
}

/** Forget all arrays: the results have changed. */
export function forget() {
  kept.clear();
  bytes = 0;
}

export const isKept = (path) => kept.has(path);

/** Labels as `preview` sends them. */
export function labelsOf({ map, shape }) {
  const raw = Uint8Array.from(atob(map), (letter) => letter.charCodeAt(0));
  return { data: new Int16Array(raw.buffer), shape };
}

/**
 * Wrap something that asks the server so that only the latest wish counts: while one is being
 * answered the next waits, all between are dropped, and what takes long is given up for it.
 * A pointer that moves on all the time still sees patterns go by.
 */
export function latest(work, onerror, patience = 250) {
  let going = null;
  let waiting = null;
  const run = async (wish) => {
    const control = new AbortController();
    going = { control, since: performance.now() };
    try {
      await work(wish, control.signal);
    } catch (error) {
      // That nobody answers is said for all of the page.
      if (error.name !== "AbortError" && !(error instanceof Unanswered)) onerror(error);
    } finally {
      going = null;
      if (waiting) {
        const next = waiting;
        waiting = null;
        run(next.wish);
      }
    }
  };
  return (wish) => {
    if (!going) return void run(wish);
    waiting = { wish };
    const { control, since } = going;
    if (performance.now() - since > patience) return control.abort();
    setTimeout(() => waiting && going?.control === control && control.abort(), patience);
    return undefined;
  };
}
