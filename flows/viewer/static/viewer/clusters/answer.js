// The head of the page: the answer and its reasons, and which result is shown.

import { address, forget, getArray, getJson } from "../parts/api.js";
import { find, make, notice, say } from "../parts/dom.js";
import { inWords } from "./edit.js";

const LEVELS = { high: "high", moderate: "middle", medium: "middle", low: "low" };
export const DISCARD = "Discard unsaved changes?";

export function startAnswer(state) {
  const counted = () => `${state.clusters.length} ${state.clusters.length === 1 ? "cluster" : "clusters"}`;

  /** The answer for what is on the map now: of what is not decided it claims no confidence. */
  function answer() {
    const { run, steps, number, revision } = state;
    const decided = run.automatic ?? run.headline;
    // Which revision it is stands beside, where another one is chosen.
    const shown = run.revisions.find(({ name }) => name === revision);
    const stored = shown ? run.headline.replace(` (revision ${titleOf(shown)})`, "") : run.headline;
    let text = stored;
    let beside = revision ? `automatic: ${decided}` : "";
    if (steps.length || number !== null) {
      text = number === null ? `${counted()}, not saved yet` : `${number} patterns: a preview`;
      beside = revision ? `${titleOf(shown)}: ${stored}` : `automatic: ${decided}`;
    }
    const headline = find("headline");
    headline.replaceChildren(text);
    headline.dataset.confidence = revision || text !== stored ? "" : (LEVELS[run.confidence] ?? "");
    say(find("automatic"), beside && `(${beside})`);
  }

  function reasons() {
    const { run, steps, revision } = state;
    const items = (sentences) => sentences.map((sentence) => make("li", {}, sentence));
    const changed = revision || steps.length;
    find("why-button").textContent = changed ? "What was changed?" : "Why this number?";
    find("why-title").textContent = changed ? "What was changed" : "Why this number";
    find("unsaved").replaceChildren(...items(steps.map((step) => `${inWords(step)} (not saved yet)`)));
    find("before").hidden = !steps.length || Boolean(revision);
    find("reasons").replaceChildren(...items(run.reasons));
    find("notes").replaceChildren(...items(run.notes));
    find("remarks").hidden = !run.notes.length;
  }

  function results() {
    const { run } = state;
    document.title = `${run.name} · orimap`;
    find("name").textContent = run.title && run.title !== run.name ? `${run.name} · ${run.title}` : run.name;
    const options = run.revisions.map((revision) => {
      const text = `${titleOf(revision)} (${revision.patterns}${revision.outdated ? ", outdated" : ""})`;
      return make("option", { value: revision.name, title: `${text}, ${revision.made}` }, text);
    });
    find("revision").replaceChildren(make("option", { value: "" }, "Automatic"), ...options);
    find("revision").value = state.revision ?? "";
  }

  /** The page of a revision is written when it is asked for the first time. */
  function pointToReport() {
    const { run, revision } = state;
    find("report").hidden = !run.report;
    if (!run.report) return;
    find("report").href = `./${run.report}`;
    find("report").title = `Opens in a new tab${revision ? "; the first time it is written, which takes some seconds" : ""}`;
  }

  find("revision").addEventListener("change", async (event) => {
    const name = event.target.value || null;
    const before = state.revision ?? "";
    if (state.steps.length && !confirm(DISCARD)) return void (event.target.value = before);
    notice("saved", "");
    await openRevision(state, name).catch((error) => {
      notice("trouble", error.message);
      event.target.value = before;
    });
  });
  const why = find("why");
  find("why-button").addEventListener("click", () => why.showModal());
  // A click beside the sheet closes it, as Esc does.
  why.addEventListener("click", (event) => event.target === why && why.close());
  state.on("run", () => state.run && (results(), pointToReport()));
  state.on("revision", () => (find("revision").value = state.revision ?? ""));
  state.on("run revision base clusters steps number", () => state.run && (answer(), reasons()));
}

/** What a person has called a revision; its name is made of that. */
export const titleOf = ({ name, title }) => title || name;

/** Show a revision as it is stored; null is the automatic result. `wanted` is what to show of it. */
export async function openRevision(state, revision, wanted = {}) {
  const run = await getJson(address("./api/run", { revision }));
  if (!run.scan) return state.set({ run });
  const base = await storedClusters(run, revision);
  const { clusters, labels } = base;
  const [rows, columns] = run.scan.shape;
  const within = (place) => place && place.y < rows && place.x < columns;
  const here = wanted.position ?? state.position;
  const position = within(here) ? here : { y: Math.floor(rows / 2), x: Math.floor(columns / 2) };
  const fixed = Boolean((wanted.position || state.fixed) && within(here));
  const id = wanted.layer ?? state.layer;
  const layer = run.layers.some((layer) => layer.id === id) ? id : (run.layers[0]?.id ?? id);
  const fresh = { steps: [], number: null, lit: new Set(), boundary: null, region: null };
  notice("changed", "");
  return state.set({ run, revision, base, clusters, labels, ...fresh, layer, position, fixed, subject: { of: "position", ...position } });
}

/** Ask again for all that may have changed. */
export function reopen(state, revision) {
  forget();
  return openRevision(state, revision);
}

/** The clusters that are stored, and their map; none where a run has not come so far. */
async function storedClusters(run, revision) {
  const { shape } = run.scan;
  if (!run.layers.some(({ id }) => id === "clusters"))
    return { clusters: [], labels: { data: new Int16Array(shape[0] * shape[1]), shape } };
  const [{ clusters }, labels] = await Promise.all([
    getJson(address("./api/clusters", { revision })),
    getArray(address("./api/map/clusters", { revision })),
  ]);
  return { clusters, labels };
}
