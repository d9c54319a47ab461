// Clusters put right by hand: every change is a step that the server shows on the map; the page
// keeps the steps, so that undoing is to leave out the last one. Only saving writes anything.

import { labelsOf, latest, post } from "../parts/api.js";
import { find, make, say, whileBusy } from "../parts/dom.js";
import { lightUp } from "../map.js";

// What the server says of steps that speak for themselves.
const TOLD = / (was|were) (merged|named|given)/;

export function startEdit(state) {
  let ticked = new Set();
  let undone = [];
  const outdated = () => state.run.revisions.find(({ name }) => name === state.revision)?.outdated;
  const open = () => state.run.writable && !outdated() && state.number === null && !state.saving;

  const ask = latest(async ({ steps, taken }, signal) => {
    if (!steps.length) return show(steps, { ...state.base, said: [] });
    try {
      const asked = post("./api/preview", { source: state.revision, steps }, signal);
      const found = await whileBusy(find("edit-busy"), "Redrawing the map …", asked);
      show(steps, { clusters: found.clusters, labels: labelsOf(found), said: found.said });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      if (taken) undone.push(...taken);
      message(error.message);
    }
  }, (error) => message(error.message), 60_000);

  function show(steps, { clusters, labels, said }) {
    message("");
    ticked = new Set();
    state.set({ steps, clusters, labels, lit: new Set(), boundary: null, layer: "clusters", said });
  }

  const message = (text) => say(find("edit-message"), text);
  function step(change) {
    undone = [];
    ask({ steps: [...state.steps, change] });
  }
  function undo() {
    if (!state.steps.length || !open()) return;
    undone.push(state.steps.at(-1));
    ask({ steps: state.steps.slice(0, -1) });
  }
  function redo() {
    if (!undone.length || !open()) return;
    const again = undone.pop();
    ask({ steps: [...state.steps, again], taken: [again] });
  }

  function rows() {
    const typing = document.activeElement?.closest?.("#clusters li")?.dataset.number;
    const what = document.activeElement?.className;
    find("clusters").replaceChildren(...state.clusters.map(row));
    if (typing) find("clusters").querySelector(`[data-number="${typing}"] .${what || "none"}`)?.focus();
  }

  function row({ number, name, colour, positions }) {
    const title = `cluster ${state.titleOf(number)}`;
    const tick = make("input", { type: "checkbox", className: "tick", checked: ticked.has(number), disabled: !open(), "aria-label": `Choose ${title}` });
    tick.addEventListener("change", () => {
      if (tick.checked) ticked.add(number);
      else ticked.delete(number);
      buttons();
    });
    const colours = make("input", { type: "color", className: "colour", value: colour, disabled: !open(), "aria-label": `Colour of ${title}`, title: "Another colour" });
    colours.addEventListener("change", () => step({ colour: { [number]: colours.value } }));
    const lit = make("button", { type: "button", className: "number", "aria-pressed": String(state.lit.has(number)), "aria-label": `Light up ${title}`, title: "Light it up and show its mean pattern" }, `${number}`);
    lit.addEventListener("click", () => lightUp(state, state.lit.has(number) ? 0 : number));
    const named = make("input", { className: "name", value: name, maxLength: 60, placeholder: "name", disabled: !open(), autocomplete: "off", spellcheck: false, "aria-label": `Name of cluster ${number}` });
    named.addEventListener("change", () => {
      const text = named.value.trim();
      if (text && text !== name) step({ rename: { [number]: text } });
      else named.value = name;
    });
    named.addEventListener("keydown", (event) => {
      if (event.key === "Enter") named.blur();
      if (event.key === "Escape") named.value = name;
    });
    const size = make("span", { className: "size", title: "positions" }, `${positions}`);
    return make("li", { "data-number": `${number}` }, tick, colours, lit, named, size);
  }

  function buttons() {
    const count = ticked.size;
    find("merge").disabled = !open() || count < 2;
    find("split").disabled = !open() || count !== 1;
    find("background").disabled = !open() || count < 1 || count === state.clusters.length;
    find("undo").disabled = !open() || !state.steps.length;
    find("redo").disabled = !open() || !undone.length;
    let hint = "Tick clusters to merge or split them. Nothing is written before you save.";
    if (!state.clusters.length) hint = "There are no clusters yet.";
    else if (!state.run.writable) hint = "These results can be looked at, but not changed here.";
    else if (state.saving) hint = "Your changes are being saved.";
    else if (outdated()) hint = "This revision was made from an earlier decision: choose the automatic result to make changes.";
    else if (state.number !== null) hint = "A preview of another number cannot be changed here: go back to the number that was decided.";
    find("edit-hint").textContent = hint;
  }

  /** What was changed, and of what the server says that which no step tells, as of a split. */
  function steps() {
    const words = state.steps.map(inWords);
    const said = state.steps.length ? (state.said ?? []) : [];
    const more = said.filter((text) => !TOLD.test(text));
    find("steps").replaceChildren(
      ...words.map((text) => make("li", {}, text)),
      ...more.map((text) => make("li", { className: "said" }, text)),
    );
  }

  const chosen = () => [...ticked].sort((one, other) => one - other);
  find("merge").addEventListener("click", () => step({ merge: [chosen()] }));
  find("split").addEventListener("click", () => step({ split: chosen() }));
  find("background").addEventListener("click", () => step({ background: chosen() }));
  find("undo").addEventListener("click", undo);
  find("redo").addEventListener("click", redo);
  state.on("clusters run number revision saving", () => state.run && rows());
  state.on("lit", () => {
    for (const item of find("clusters").children)
      item.querySelector(".number").setAttribute("aria-pressed", String(state.lit.has(Number(item.dataset.number))));
  });
  state.on("run base clusters steps number revision saving", () => state.run && (buttons(), steps()));
  state.on("base", () => (undone = []));
  return { undo, redo };
}

/** Say one step as a person would; its numbers are those before it. */
export function inWords({ merge = [], split = [], background = [], rename = {}, colour = {} }) {
  const listed = (numbers) => numbers.join(", ").replace(/, (\d+)$/, " and $1");
  return [
    ...merge.map((group) => `Clusters ${listed(group)} merged`),
    ...split.map((number) => `Cluster ${number} split`),
    ...background.map((number) => `Cluster ${number} marked as background`),
    ...Object.entries(rename).map(([number, name]) => `Cluster ${number} named “${name}”`),
    ...Object.keys(colour).map((number) => `Cluster ${number} given another colour`),
  ].join("; ");
}
