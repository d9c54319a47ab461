// The map at the left: what it shows, where the pointer is, and the most doubtful boundary.

import { address, getJson, getKept, latest } from "./parts/api.js";
import { colourBar, scaleBar } from "./parts/bars.js";
import { ink, paintLabels, paintNumbers, rangeOf, scaleOf, table, unitText, written } from "./parts/colours.js";
import { download, find, make, notice, say } from "./parts/dom.js";
import { drawBoundaries, drawNumbers, drawPinned, drawPosition, insides, touching } from "./parts/marks.js";
import { Picture } from "./parts/picture.js";
import { numbered } from "./state.js";

const DRAWN = "drawn-detector";
// The largest value a ratio can have, where it is not 1.
const FULL = { doubt: 0.5 };

export function startMap(state, drags) {
  const canvas = find("map");
  const picture = new Picture(canvas, [
    (context) => drawBoundaries(context, picture, state, find("boundaries").checked),
    (context) => numbersShown() && drawNumbers(context, picture, places(), { clusters: coloured(), lit: state.lit }),
    (context) => drags.draw(context, picture),
    (context) => drawPinned(context, picture, state.pinned),
    (context) => drawPosition(context, picture, state),
    scaleBar(() => calibration(state.run), state.run?.scan.shape[1] === 1 ? "position" : "positions", marked),
  ]);
  /** Whether what was drawn or fixed on the map lies in a box of it, in CSS pixels. */
  function marked(x0, y0, x1, y1) {
    const { region, line, fixed, position } = state;
    const ends = region ?? line ?? (fixed && position && { y0: position.y, x0: position.x, y1: position.y, x1: position.x });
    if (!ends) return false;
    const sides = (a, b) => [Math.min(a, b) - 0.5, Math.max(a, b) + 0.5];
    const [top, low] = sides(ends.y0, ends.y1);
    const [left, right] = sides(ends.x0, ends.x1);
    const [u0, v0] = picture.toScreen(top, left);
    const [u1, v1] = picture.toScreen(low, right);
    return u0 < x1 && u1 > x0 && v0 < y1 && v1 > y0;
  }
  let values = null;
  let widest = { of: null, found: [] };
  const places = () => {
    if (widest.of !== state.labels) widest = { of: state.labels, found: insides(state.labels) };
    return widest.found;
  };

  const ask = latest(async ({ id, revision }, signal) => {
    const array = await getKept(address(`./api/map/${id}`, { revision }), signal);
    if (state.layer !== id) return;
    notice("trouble", "");
    values = { id, ...array };
    paint();
  }, (error) => notice("trouble", error.message));

  function layerNow() {
    if (state.layer === DRAWN) return { id: DRAWN, title: "Detector", kind: "number", unit: state.run.intensity_unit };
    return state.run.layers.find((layer) => layer.id === state.layer) ?? state.run.layers[0] ?? { id: "none" };
  }

  /** The clusters in the colours of what the map shows: their own, or those of their orientations. */
  function coloured() {
    const layer = layerNow();
    if (layer.id === "clusters") return state.clusters;
    const { clusters } = state.base;
    return layer.colours ? clusters.map((one) => ({ ...one, colour: layer.colours[one.number - 1] })) : clusters;
  }

  /** Whether numbers of clusters are on the map: where its colours are those of the very clusters. */
  const numbersShown = () => state.layer === "clusters" || (layerNow().colours && !state.regrouped);

  function refresh() {
    if (!state.labels) return;
    const layer = layerNow();
    if (layer.id === "clusters") paint();
    else if (layer.id === DRAWN) {
      values = state.drawn && { id: DRAWN, data: state.drawn.values, shape: state.drawn.shape };
      paint();
    } else ask({ id: layer.id, revision: state.revision });
    if (find("layer").value !== layer.id) find("layer").value = layer.id;
  }

  function paint() {
    const layer = layerNow();
    const ofClusters = layer.id === "clusters";
    canvas.dataset.shown = "";
    find("map-bar").hidden = layer.kind === "labels";
    if (ofClusters) {
      picture.show(paintLabels(state.labels.data, state.clusters, state.lit), state.labels.shape);
    } else if (values?.id !== layer.id) return;
    else if (layer.kind === "labels") {
      picture.show(paintLabels(values.data, coloured(), state.lit), values.shape);
    } else {
      const [low, high] = rangeOf(values.data);
      const ratio = layer.unit === "1" && low >= 0 && high <= 1.5;
      const scale = scaleOf("linear", ratio ? 0 : low, ratio ? Math.max(high, FULL[layer.id] ?? 1) : high);
      picture.show(paintNumbers(values.data, scale.place, table("viridis")), values.shape);
      colourBar(find("map-bar"), table("viridis"), scale.ticks, layer.unit, layer.title);
    }
    canvas.dataset.shown = layer.id;
    badge(layer);
    readout();
  }

  function badge(layer) {
    let text = "";
    if (layer.id === DRAWN) text = state.drawn?.said ?? "";
    else if (layer.id === "clusters" && state.number !== null) text = `${state.number} patterns: a preview`;
    else if (layer.id === "clusters" && state.steps.length) text = "With your changes, not saved";
    else if (state.previewed) text = "Without your changes";
    say(find("map-badge"), text);
  }

  function readout() {
    const node = find("map-readout");
    if (!state.position) return void (node.textContent = "Point at the map, or press an arrow key.");
    const { y, x } = state.position;
    const place = [`Row ${y}, column ${x}`];
    const label = state.labelAt(state.position);
    if (state.clusters.length) place.push(label > 0 ? `cluster ${state.titleOf(label)}` : label < 0 ? "not measured" : "no cluster");
    const layer = layerNow();
    const parts = [];
    if (layer.kind === "number" && values?.id === layer.id)
      parts.push(`${called(layer)} ${written(values.data[y * values.shape[1] + x])} ${unitText(layer.unit)}`);
    const steps = calibration(state.run, true);
    if (steps) parts.push(`${written(y * steps[0])}, ${written(x * steps[1])} ${unitText(state.run.scan.unit)}`);
    // Two lines at all times: the map stays where it is.
    const lines = [place.join(" · "), capital(parts.join(" · "))];
    node.title = lines.filter(Boolean).join(" · ");
    node.replaceChildren(...lines.map((text) => make("span", {}, text)));
    find("release").hidden = !state.fixed;
  }

  function legend() {
    find("map-legend").replaceChildren(
      ...state.clusters.map(({ number, colour }) => {
        const chip = make("button", { type: "button", className: "chip", "aria-pressed": String(state.lit.has(number)) });
        chip.append(state.titleOf(number));
        Object.assign(chip.style, { background: colour, color: ink(colour) });
        chip.addEventListener("click", () => lightUp(state, state.lit.has(number) ? 0 : number));
        return chip;
      }),
    );
  }

  function layers() {
    const select = find("layer");
    const groups = new Map();
    const drawn = state.drawn ? [{ id: DRAWN, title: "Drawn detector", group: "Drawn" }] : [];
    const shares = state.base?.clusters.length ?? 0;
    for (const layer of [...drawn, ...state.run.layers]) {
      const share = /^share-(\d+)$/.exec(layer.id);
      if (share && +share[1] > shares) continue;
      const option = make("option", { value: layer.id, title: layer.title }, layer.title.replace(/:.*/, ""));
      const group = layer.group || "Map";
      if (!groups.has(group)) groups.set(group, make("optgroup", { label: group }));
      groups.get(group).append(option);
    }
    select.replaceChildren(...groups.values());
    select.value = layerNow().id;
    find("doubtful").disabled = !doubtLayer(state.run);
  }

  state.on("run base drawn", () => state.run && layers());
  state.on("clusters lit", legend);
  state.on("run layer labels clusters lit drawn revision number steps", () => state.run && refresh());
  state.on("position fixed", () => (readout(), picture.draw()));
  state.on("position", () => state.fixed && state.position && picture.reveal(state.position));
  state.on("boundary labels line region pinned", () => picture.draw());
  state.on("boundary", () => state.boundary || notice("doubt", ""));
  state.on("tool", () => canvas.classList.toggle("drawing", state.tool !== "point"));
  find("layer").addEventListener("change", (event) => state.set({ layer: event.target.value, boundary: null }));
  find("boundaries").addEventListener("change", () => picture.draw());
  for (const input of document.querySelectorAll("[name=map-tool]"))
    input.addEventListener("change", () => state.set({ tool: input.value }));
  find("map-in").addEventListener("click", () => picture.enlarge(1.5, state.position ?? undefined));
  find("map-out").addEventListener("click", () => picture.enlarge(1 / 1.5));
  find("release").addEventListener("click", () => (state.set({ fixed: false }), canvas.focus()));
  find("map-png").addEventListener("click", () => download(canvas, `${state.run.name}-${state.layer}.png`));
  const doubtful = doubtfulBoundaries(state);
  find("doubtful").addEventListener("click", doubtful);

  const hold = (place, fixed) => {
    const position = picture.pixel(place);
    if (position) hereIs(state, position, fixed);
  };
  picture.listen({
    hover: (place, event) => event.pointerType === "mouse" && !state.fixed && state.subject?.of !== "region" && hold(place, false),
    click: (place) => (canvas.focus({ preventScroll: true }), hold(place, true)),
    free: () => state.set({ fixed: false }),
    grab: (place) => drags.grab(place, picture),
  });
  return { picture, enlarge: (factor) => picture.enlarge(factor, state.position ?? undefined), doubtful };
}

/** Show the pattern of a position; a new object only where it is another one. */
export function hereIs(state, position, fixed = state.fixed) {
  const same = state.position?.y === position.y && state.position?.x === position.x;
  const subject = { of: "position", ...position };
  state.set({ position: same ? state.position : position, fixed, subject: same && state.subject?.of === "position" ? state.subject : subject });
}

/** Light up one cluster, 0 for none, and show its pattern. */
export function lightUp(state, number) {
  if (number && !numbered(state.clusters, number)) return;
  const lit = new Set(number ? [number] : []);
  const back = state.position ? { of: "position", ...state.position } : state.subject;
  state.set({ lit, subject: number ? { of: "cluster", number } : back });
}

/** {step, unit} of the columns of the scan, or both steps, or null where it is not calibrated. */
function calibration(run, both = false) {
  const { step, unit } = run.scan;
  if (!step || !unit) return null;
  return both ? step : { step: step[1], unit };
}

const doubtLayer = (run) => ["doubt", "overlap"].map((id) => run.layers.find((layer) => layer.id === id)).find(Boolean);

/** Return what goes to the most doubtful boundary and, called again, to the next one. */
function doubtfulBoundaries(state) {
  let visited = { of: null, ranked: [], next: 0 };
  return async () => {
    const layer = doubtLayer(state.run);
    if (!layer || !state.base) return;
    if (visited.of !== state.base) {
      const found = await getJson(address("./api/boundaries", { revision: state.revision })).catch((error) => notice("trouble", error.message));
      if (!found) return;
      visited = { of: state.base, ranked: found.boundaries, next: 0 };
    }
    const { ranked } = visited;
    if (!ranked.length) return void notice("doubt", "No two clusters touch each other.", { kind: "calm" });
    const rank = visited.next++ % ranked.length;
    const { clusters, positions, doubt, most } = ranked[rank];
    const names = clusters.map((number) => state.titleOf(number, state.base.clusters)).join(" and ");
    const which = ranked.length > 1 ? `${ordinal(rank + 1)} of ${ranked.length} boundaries` : "The only boundary";
    state.set({ layer: layer.id, boundary: touching(state.base.labels, clusters), lit: new Set() });
    hereIs(state, most, true);
    const text = `${which}: between clusters ${names}, ${positions} positions, ${called(layer)} ${written(doubt)} on average. The most doubtful of them is selected.`;
    notice("doubt", text, { kind: "calm", onclose: () => state.set({ boundary: null }) });
  };
}

/** Most doubtful, second most doubtful … 6th most doubtful … */
function ordinal(rank) {
  const ending = { one: "st", two: "nd", few: "rd", other: "th" }[new Intl.PluralRules("en", { type: "ordinal" }).select(rank)];
  return ["Most", "Second most", "Third most", "Fourth most", "Fifth most"][rank - 1]?.concat(" doubtful") ?? `${rank}${ending} most doubtful`;
}

const capital = (text) => text && text[0].toUpperCase() + text.slice(1);

/** What a layer is called within a sentence: before the colon of its title. */
const called = ({ title }) => title[0].toLowerCase() + title.slice(1).replace(/:.*/, "");
