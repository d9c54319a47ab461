// How the map would look with another number of patterns.

import { address, getArray, getJson, latest } from "../parts/api.js";
import { find, make, say, whileBusy } from "../parts/dom.js";

// The server answers as soon as the whole map of a number is there.
const WAIT_SECONDS = 2;

export function startNumbers(state) {
  // The number whose map is being drawn, or null.
  let pending = null;

  const ask = latest(async (distinct, signal) => {
    if (distinct === null) return;
    const path = `./api/number/${distinct}`;
    try {
      const [found, labels] = await whileBusy(find("numbers-how"), `Drawing the map of ${distinct} patterns …`, wholeOf(path, signal));
      if (pending !== distinct) return;
      state.set({ number: distinct, clusters: found.clusters, labels, lit: new Set(), boundary: null, layer: "clusters" });
      say(find("numbers-how"), found.how);
      list();
    } finally {
      if (pending === distinct) pending = null;
    }
  }, (error) => {
    say(find("numbers-message"), error.message);
    list();
  }, 0);

  /** Wait for the map that a decision would draw, and say how far it is. */
  async function wholeOf(path, signal) {
    let found = await getJson(path, signal);
    while (found.working) {
      const far = found.total ? ` (${found.done} of ${found.total})` : "";
      say(find("numbers-how"), `${found.doing}${far} …`);
      found = await getJson(address(path, { wait: WAIT_SECONDS }), signal);
    }
    return [found, await getArray(`${path}/map`, signal)];
  }

  function choose(distinct) {
    say(find("numbers-message"), "");
    if (state.steps.length) {
      say(find("numbers-message"), "Save or undo your changes of clusters first.");
      return list();
    }
    pending = distinct;
    ask(distinct);
    return undefined;
  }

  /** Back to what is stored. */
  function back() {
    pending = null;
    ask(null);
    const { clusters, labels } = state.base;
    state.set({ number: null, clusters, labels, lit: new Set() });
    list();
  }

  function list() {
    const { run, revision, base } = state;
    const shown = pending ?? state.number;
    const item = (value, title, checked, tag, sentences, onchange) => {
      const input = make("input", { type: "radio", name: "number", value, checked, onchange });
      const text = make("span", {}, make("b", {}, title));
      if (tag) text.append(make("span", { className: "tag" }, tag));
      for (const sentence of sentences) text.append(make("small", {}, sentence));
      return make("li", {}, make("label", {}, input, text));
    };
    const items = run.numbers.map(({ distinct, title, decided, evidence }) => {
      const stored = decided && !revision;
      const checked = shown === null ? Boolean(stored) : shown === distinct;
      return item(distinct, title, checked, decided && "decided", [evidence ?? []].flat(), () => (stored ? back() : choose(distinct)));
    });
    if (revision) items.unshift(item("", `This revision: ${base?.clusters.length} clusters`, shown === null, "by hand", [], back));
    find("numbers").replaceChildren(...items);
    const most = run.numbers.at(-1);
    const none = run.numbers.length < 2 ? "No other number can be drawn from what was kept." : "";
    const above = most?.decided ? `No fit of this run holds more than ${most.distinct} distinct patterns; orimap run with a larger --k may find more.` : "";
    say(find("numbers-above"), none || above);
    const other = state.number !== null && !run.numbers.some(({ distinct, decided }) => decided && distinct === state.number);
    find("numbers-adopt").hidden = !other;
    find("numbers-command").textContent = `orimap decide ${/^[\w.-]+$/.test(run.name) ? run.name : `'${run.name}'`} --distinct ${state.number}`;
  }

  state.on("run number base revision", () => state.run && list());
  state.on("number", () => {
    if (state.number !== null) return;
    pending = null;
    say(find("numbers-how"), "");
  });
}
