// The answer, its reasons, and how the map would look with another number of patterns.

import { address, getArray, getJson, latest } from "./parts/api.js";
import { find, make, say } from "./parts/dom.js";
import { openRevision } from "./edit.js";

// The server answers at once when the full map of a number is there.
const WAIT_SECONDS = 5;
const LEVELS = { high: "high", moderate: "middle", medium: "middle", low: "low" };

export function startNumbers(state) {
  const ask = latest(async (distinct, signal) => {
    const path = `./api/number/${distinct}`;
    let found = await getJson(path, signal);
    let labels = await getArray(`${path}/map`, signal);
    say(find("numbers-message"), "");
    say(find("numbers-how"), found.how);
    state.set({ number: distinct, quick: Boolean(found.quick), clusters: found.clusters, labels, lit: new Set(), boundary: null, layer: "clusters" });
    while (found.quick && state.number === distinct) {
      found = await getJson(address(path, { wait: WAIT_SECONDS }), signal);
      if (found.quick) continue;
      say(find("numbers-how"), found.how);
      labels = await getArray(`${path}/map`, signal);
      if (state.number === distinct) state.set({ quick: false, clusters: found.clusters, labels });
    }
  }, (error) => {
    say(find("numbers-message"), error.message);
    list();
  }, 0);

  function choose({ distinct, decided }) {
    if (state.steps.length) {
      say(find("numbers-message"), "Save or undo your changes of clusters first.");
      return list();
    }
    say(find("numbers-message"), "");
    if (!decided) return ask(distinct);
    const { clusters, labels } = state.base;
    return state.set({ number: null, quick: false, clusters, labels, lit: new Set() });
  }

  function list() {
    const radios = state.run.numbers.map((number) => {
      const { distinct, title, decided, evidence } = number;
      const checked = state.number === null ? Boolean(decided) : state.number === distinct;
      const input = make("input", { type: "radio", name: "number", value: distinct, checked });
      input.addEventListener("change", () => choose(number));
      const text = make("span", {}, make("b", {}, title));
      if (decided) text.append(make("span", { className: "tag" }, "decided"));
      for (const sentence of [evidence ?? []].flat()) text.append(make("small", {}, sentence));
      return make("li", {}, make("label", {}, input, text));
    });
    find("numbers").replaceChildren(...radios);
  }

  function answer() {
    const { run } = state;
    document.title = `${run.name} · orimap`;
    find("name").textContent = run.title && run.title !== run.name ? `${run.name} · ${run.title}` : run.name;
    const headline = find("headline");
    headline.replaceChildren(run.headline);
    if (run.confidence && !run.headline.includes("confidence"))
      headline.append(" ", make("span", { className: "tag" }, `${run.confidence} confidence`));
    headline.dataset.confidence = LEVELS[run.confidence] ?? "";
    const items = (sentences) => sentences.map((sentence) => make("li", {}, sentence));
    find("reasons").replaceChildren(...items(run.reasons));
    find("notes").replaceChildren(...items(run.notes));
    find("notes").previousElementSibling.hidden = !run.notes.length;
    const select = find("revision");
    const options = run.revisions.map(({ name, outdated, patterns }) =>
      make("option", { value: name }, `${name} (${patterns} patterns${outdated ? ", outdated" : ""})`),
    );
    select.replaceChildren(make("option", { value: "" }, "Automatic"), ...options);
    select.value = state.revision ?? "";
    pointToReport();
  }

  function pointToReport() {
    const link = find("report");
    link.hidden = !state.run.report;
    if (state.run.report) link.href = `./${state.run.report}`;
  }

  find("revision").addEventListener("change", async (event) => {
    const name = event.target.value || null;
    if (state.steps.length && !confirm("Your changes are not saved. Leave them?")) {
      event.target.value = state.revision ?? "";
      return;
    }
    await openRevision(state, name).catch((error) => {
      say(find("edit-message"), error.message);
      event.target.value = state.revision ?? "";
    });
  });
  find("why-button").addEventListener("click", (event) => {
    const hidden = !find("why").hidden;
    find("why").hidden = hidden;
    event.currentTarget.setAttribute("aria-expanded", String(!hidden));
  });
  state.on("run", () => state.run && answer());
  state.on("revision", () => (find("revision").value = state.revision ?? ""));
  state.on("run number base", () => state.run && list());
  state.on("number", () => state.number === null && say(find("numbers-how"), ""));
}
