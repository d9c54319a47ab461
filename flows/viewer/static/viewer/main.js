// Starts the page: opens the results, listens to keys, and follows what the server says.

import { connection, getJson } from "./parts/api.js";
import { find, notice, takesKey } from "./parts/dom.js";
import { startDetector } from "./detector.js";
import { DISCARD, openRevision, reopen, startAnswer } from "./clusters/answer.js";
import { startEdit } from "./clusters/edit.js";
import { startNumbers } from "./clusters/numbers.js";
import { startSave } from "./clusters/save.js";
import { startLine } from "./line.js";
import { hereIs, lightUp, startMap } from "./map.js";
import { startOrientation } from "./orientation.js";
import { startPattern } from "./pattern.js";
import { keepPlace, placeAsked } from "./place.js";
import { State, numbered } from "./state.js";

const ASK_AGAIN_MS = 4000;
const MOST_MS = 15_000;
const SECOND_DIGIT_MS = 700;
const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

const state = new State();
const line = startLine(state, showTab);
const map = startMap(state, line);
const detector = startDetector(state);
const orientation = startOrientation(state);
const pattern = startPattern(state, [orientation.draw, (context) => detector.draw(context)]);
detector.on(pattern);
orientation.on(pattern);
const edit = startEdit(state);
startAnswer(state);
startNumbers(state);
startSave(state);

function showTab(name) {
  for (const tab of document.querySelectorAll("[role=tab]")) {
    const chosen = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
    find(tab.getAttribute("aria-controls")).hidden = !chosen;
  }
  state.set({ tab: name });
}

function startTabs() {
  const tabs = [...document.querySelectorAll("[role=tab]")];
  for (const [n, tab] of tabs.entries()) {
    tab.addEventListener("click", () => showTab(tab.id.replace("tab-", "")));
    tab.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by) return;
      const next = tabs[(n + by + tabs.length) % tabs.length];
      next.click();
      next.focus();
    });
  }
}

function move([down, right], far) {
  const [rows, columns] = state.run.scan.shape;
  const clip = (value, count) => Math.min(Math.max(value, 0), count - 1);
  const from = state.position ?? { y: Math.floor(rows / 2), x: Math.floor(columns / 2) };
  const steps = !state.position ? 0 : far ? 10 : 1;
  hereIs(state, { y: clip(from.y + steps * down, rows), x: clip(from.x + steps * right, columns) }, true);
}

let typed = { text: "", at: 0 };
function digit(key) {
  const now = performance.now();
  const text = now - typed.at < SECOND_DIGIT_MS ? typed.text + key : key;
  const number = numbered(state.clusters, Number(text)) ? Number(text) : Number(key);
  typed = { text: String(number), at: now };
  lightUp(state, number);
}

function release() {
  if (detector.there && !state.fixed) detector.away();
  if (state.line || state.region) line.away();
  if (state.lit.size) lightUp(state, 0);
  notice("saved", "");
  state.set({ fixed: false, boundary: null });
}

function onKey(event) {
  if (!state.base || document.querySelector("dialog[open]") || (takesKey(event.target, event.key) && event.key !== "Escape")) return;
  const command = event.ctrlKey || event.metaKey;
  if (command && event.key.toLowerCase() === "z") {
    event.preventDefault();
    return event.shiftKey ? edit.redo() : edit.undo();
  }
  if (command || event.altKey) return undefined;
  if (ARROWS[event.key]) {
    event.preventDefault();
    return move(ARROWS[event.key], event.shiftKey);
  }
  if (/^\d$/.test(event.key)) return digit(event.key);
  const others = {
    Escape: release,
    "+": () => map.enlarge(1.5),
    "-": () => map.enlarge(1 / 1.5),
    "?": () => find("help").showModal(),
    d: map.doubtful,
    p: () => pattern.pin(true),
  };
  return others[event.key]?.();
}

/** Tell that a run is going on, or was stopped: "running: fit", "stopped: fit". */
function tellState({ state: doing }) {
  const [word, step] = doing.split(": ");
  const shown = state.base?.clusters.length ? "Shown are the last complete results." : "Shown is what there is already.";
  const said = {
    running: `A run is going on${step ? ` (${step})` : ""}. ${shown}`,
    stopped: `A run was stopped${step ? ` (${step})` : ""}; started again it goes on from there. ${shown}`,
    "no results": "There are no results here yet.",
  };
  notice("state", said[word] ?? "", { kind: "calm" });
}

async function open() {
  if (state.steps.length && !confirm(DISCARD)) return;
  const { revisions } = await getJson("./api/run");
  const known = revisions.some(({ name }) => name === state.revision);
  await reopen(state, known ? state.revision : null);
  tellState(state.run);
  notice("trouble", "");
}

/** Show what the address of the page asks for, as far as it is there. */
async function begin() {
  const { revision, tab, ...wanted } = placeAsked();
  const { revisions } = revision ? await getJson("./api/run") : { revisions: [] };
  const known = revisions.some(({ name }) => name === revision);
  await openRevision(state, known ? revision : null, wanted);
  if (revision && !known) notice("place", `There is no revision “${revision}”; the automatic result is shown.`);
  if (find(`tab-${tab}`)) showTab(tab);
  keepPlace(state);
  tellState(state.run);
}

/** Ask every few seconds whether the results have changed; where nobody answers, say so. */
async function follow() {
  try {
    const run = await getJson("./api/run", AbortSignal.timeout(MOST_MS));
    // What comes first while a run goes on is shown at once; later nobody is taken by surprise.
    if (!state.base?.clusters.length && run.version !== state.run?.version) return await open();
    tellState(run);
    if (state.base && !state.saving && run.version !== state.run.version)
      notice("changed", "The results have changed since this page was opened.", { kind: "calm", action: "Show them", onaction: open });
  } catch (error) {
    if (error.name === "TimeoutError") connection.dispatchEvent(new Event("lost"));
    // Nobody answers: said already. Else there are no results yet, or no longer.
    if (error.status) notice("trouble", error.message);
  } finally {
    setTimeout(follow, ASK_AGAIN_MS);
  }
}

connection.addEventListener("lost", () =>
  notice("lost", "The server does not answer. Start orimap view again, or the tunnel to it; this page goes on by itself.", { kind: "bad" }),
);
connection.addEventListener("there", () => notice("lost", ""));
document.addEventListener("keydown", onKey);
find("help-button").addEventListener("click", () => find("help").showModal());
startTabs();
find("runs").hidden = !location.pathname.startsWith("/runs/");
begin()
  .catch((error) => {
    find("headline").textContent = "There is nothing to show yet";
    notice("trouble", error.message);
  })
  .finally(() => setTimeout(follow, ASK_AGAIN_MS));
