// Which crystal a cluster is and how it lies: in words, as colour keys, as reflections on patterns.

import { address, getJson } from "./parts/api.js";
import { find, make, notice } from "./parts/dom.js";
import { drawReflections } from "./parts/reflections.js";

const AROUND = 3;

export function startOrientation(state) {
  let known = null;
  let spots = { of: null, found: [] };
  let pattern = null;

  /** Ask for what is known of the clusters that are stored, once for each result. */
  async function ask() {
    const { run, revision, base } = state;
    known = null;
    spots = { of: null, found: [] };
    find("reflections").parentElement.hidden = !run?.oriented;
    if (run?.oriented) {
      const found = await getJson(address("./api/orientations", { revision })).catch((error) => notice("trouble", error.message));
      if (state.run !== run || state.base !== base) return;
      known = found ?? null;
    }
    keys();
    refresh();
  }

  /** The stored cluster that the pattern is of: its number, or null. */
  function clusterShown() {
    const { subject, base } = state;
    if (!known || !base || !subject) return null;
    if (subject.of === "cluster") return state.storedNumber(subject.number);
    if (subject.of !== "position") return null;
    const { data, shape } = base.labels;
    const label = data[subject.y * shape[1] + subject.x];
    return label > 0 ? label : null;
  }

  function refresh() {
    const number = clusterShown();
    const cluster = number && known.clusters.find((each) => each.number === number);
    const node = find("orientation");
    node.hidden = !cluster;
    node.replaceChildren(...(cluster ? inWords(cluster) : []));
    fetchSpots(cluster && find("reflections").checked ? number : null);
  }

  /** What is said of a cluster: crystal, zone axis, how sure that is, and how others lie to it. */
  function inWords(cluster) {
    const { crystal, zone, indexed, reliability, margin, remark, neighbours } = cluster;
    const before = state.regrouped ? ` of cluster ${state.titleOf(cluster.number, state.base.clusters)}, as stored` : "";
    const lines = [make("h3", {}, `Orientation${before}`)];
    const facts = indexed ? [crystal, `zone axis ${zone}`, `reliability ${reliability}`] : [`Not indexed: ${crystal === "–" ? remark : zone}`];
    if (!indexed && crystal !== "–") facts.push(`reliability ${reliability}`);
    if (indexed && margin) facts.push(`before other crystals ${margin}`);
    lines.push(make("p", {}, facts.join(" · ")));
    if (indexed && remark) lines.push(make("p", { className: "quiet" }, remark[0].toUpperCase() + remark.slice(1)));
    const named = neighbours.slice(0, AROUND).map(({ number, angle, axis, name }) => {
      const turn = axis === "–" ? angle : `${angle} about ${axis}`;
      return `to ${state.titleOf(number, state.base.clusters)}: ${turn}${name ? `, ${name}` : ""}`;
    });
    if (neighbours.length > AROUND) named.push(`${neighbours.length - AROUND} more in the report`);
    if (named.length) lines.push(make("p", { className: "quiet" }, `Misorientation ${named.join(" · ")}`));
    return lines;
  }

  async function fetchSpots(number) {
    if (spots.of === number) return;
    spots = { of: number, found: [] };
    pattern?.picture.draw();
    if (!number) return;
    const { revision } = state;
    const answer = await getJson(address(`./api/orientations/${number}/reflections`, { revision })).catch((error) => notice("trouble", error.message));
    if (!answer || spots.of !== number || state.revision !== revision) return;
    spots = { of: number, found: answer.reflections };
    find("pattern").dataset.reflections = String(number);
    pattern?.picture.draw();
  }

  /** What the colours of the map mean, where they are not those of clusters. */
  function keys() {
    const layer = state.run?.layers.find(({ id }) => id === state.layer);
    const node = find("map-key");
    node.hidden = !(known && layer?.colours);
    if (node.hidden) return node.replaceChildren();
    if (layer.id === "crystals") {
      const shown = [...known.crystals, { name: "none of these", colour: "#ececec" }];
      return node.replaceChildren(
        ...shown.map(({ name, colour }) => make("li", {}, make("span", { className: "swatch", style: { background: colour } }), name)),
      );
    }
    const sectors = known.crystals.map(({ name, key }) => make("li", {}, make("span", {}, name), sector(key)));
    const grey = make("li", {}, make("span", { className: "swatch", style: { background: "#ececec" } }), "not indexed");
    return node.replaceChildren(...sectors, grey);
  }

  state.on("run base revision", () => void ask());
  state.on("layer", keys);
  state.on("subject clusters labels", () => known && refresh());
  find("reflections").addEventListener("change", refresh);
  return {
    /** Draw the reflections on the pattern that is shown; centred by `shift`, as acquired it is not. */
    draw: (context, picture) => drawReflections(context, picture, spots.found, pattern?.shift() ?? [0, 0]),
    on: (shown) => (pattern = shown),
  };
}

/** The colour key of a crystal, its corners with their indices. */
function sector({ image, height, width, corners }) {
  const box = make("span", { className: "sector", style: { aspectRatio: `${width} / ${height}` } });
  box.append(make("img", { src: image, alt: "" }));
  for (const { x, y, name } of corners) {
    const style = { left: `${100 * x}%`, top: `${100 * y}%` };
    box.append(make("span", { className: y > 0.5 ? "below" : "above", style }, name));
  }
  return box;
}
