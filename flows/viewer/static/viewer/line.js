// A line through the map with patterns and shares along it, and a rectangle with its mean pattern.

import { address, getJson, getKept } from "./parts/api.js";
import { paintNumbers, rangeOf, scaleOf, table, unitText, written } from "./parts/colours.js";
import { find, make, say } from "./parts/dom.js";
import { hereIs } from "./map.js";

const PATTERNS = 6;
const FIELDS = [["y0", "From row"], ["x0", "From column"], ["y1", "To row"], ["x1", "To column"]];
const [WIDE, HIGH, LEFT, BELOW] = [320, 170, 34, 32];
const SVG = "http://www.w3.org/2000/svg";

export function startLine(state, showTab) {
  const form = find("line-fields");
  let asked = null;
  let shown = false;
  for (const [name, title] of FIELDS)
    form.append(make("label", { className: "stacked" }, make("span", {}, title), make("input", { type: "number", min: 0, step: 1, name, required: true })));
  form.addEventListener("submit", (event) => event.preventDefault());
  const read = () => Object.fromEntries(FIELDS.map(([name]) => [name, form.elements[name].valueAsNumber]));
  const fill = (ends) => FIELDS.forEach(([name]) => (form.elements[name].value = ends[name]));

  async function showLine(line) {
    fill(line);
    state.set({ line, region: null, subject: single() });
    say(find("line-message"), "");
    asked?.abort();
    asked = new AbortController();
    const { signal } = asked;
    try {
      const found = await getJson(address("./api/line", { ...line, revision: state.revision }), signal);
      find("line-result").replaceChildren(chart(found, state), await strip(found.points, signal));
    } catch (error) {
      if (error.name !== "AbortError") say(find("line-message"), error.message);
    }
  }

  /** A few of the patterns along the line; each leads to its position. */
  async function strip(points, signal) {
    const count = Math.min(PATTERNS, points.length);
    const chosen = Array.from({ length: count }, (_, n) => points[Math.round((n * (points.length - 1)) / Math.max(count - 1, 1))]);
    const kind = state.run.pattern_kinds[0].id;
    const arrays = await Promise.all(chosen.map(({ y, x }) => getKept(address(`./api/pattern/${kind}`, { y: Math.round(y), x: Math.round(x) }), signal)));
    const high = Math.max(...arrays.map(({ data }) => rangeOf(data, 0, 0.998)[1]));
    const { place } = scaleOf("root", 0, high);
    const buttons = arrays.map(({ data, shape }, n) => {
      const canvas = make("canvas", { width: shape[1], height: shape[0] });
      canvas.getContext("2d").putImageData(new ImageData(paintNumbers(data, place, table("inferno")), shape[1], shape[0]), 0, 0);
      const { y, x } = chosen[n];
      const at = { y: Math.round(y), x: Math.round(x) };
      const text = make("span", {}, `${at.y}, ${at.x}`);
      return make("button", { type: "button", className: "thumbnail", title: `Row ${at.y}, column ${at.x}`, onclick: () => hereIs(state, at, true) }, canvas, text);
    });
    const strip = make("div", { className: "strip", role: "group", "aria-label": "Patterns along the line" }, ...buttons);
    return make("div", {}, make("p", { className: "quiet" }, "Patterns along the line, by row and column"), strip);
  }

  function showRegion(region) {
    const [rows, columns] = state.run.scan.shape;
    const inside = (value, count) => Math.min(Math.max(value, 0), count - 1);
    const [y0, y1] = [region.y0, region.y1].map((value) => inside(value, rows)).sort((a, b) => a - b);
    const [x0, x1] = [region.x0, region.x1].map((value) => inside(value, columns)).sort((a, b) => a - b);
    const found = { y0, x0, y1, x1 };
    fill(found);
    say(find("line-message"), "");
    find("line-result").replaceChildren(make("p", { className: "quiet" }, `Shown is the mean pattern of ${(y1 - y0 + 1) * (x1 - x0 + 1)} positions. Click on the map for a single one.`));
    state.set({ region: found, line: null, subject: { of: "region", ...found } });
  }

  const withFields = (show) => () => {
    if (form.reportValidity()) show(read());
  };
  find("line-show").addEventListener("click", withFields(showLine));
  find("region-show").addEventListener("click", withFields(showRegion));
  const single = () => (state.subject?.of === "region" && state.position ? { of: "position", ...state.position } : state.subject);
  const away = () => {
    find("line-result").replaceChildren();
    state.set({ line: null, region: null, subject: single() });
  };
  state.on("base", () => state.line && showLine(state.line));
  // A rectangle goes together with its pattern.
  state.on("subject region", () => {
    const there = state.region && state.subject?.of === "region";
    const gone = shown && !there;
    shown = Boolean(there);
    if (!gone) return;
    if (!state.line) find("line-result").replaceChildren();
    state.set({ region: null });
  });

  return {
    /** Begin to drag on the map, where the tool is one of these. */
    grab(start, picture) {
      if (state.tool === "point") return null;
      const from = picture.pixel(start, true);
      const ends = (place) => {
        const to = picture.pixel(place, true);
        return { y0: from.y, x0: from.x, y1: to.y, x1: to.x };
      };
      const { tool } = state;
      return {
        move: (place) => state.set({ line: null, region: null, [tool]: ends(place) }),
        end: (place) => {
          showTab("line");
          if (tool === "line") showLine(ends(place));
          else showRegion(ends(place));
        },
      };
    },
    draw(context, picture) {
      const { line, region } = state;
      const drawn = line ?? region;
      if (!drawn) return;
      context.beginPath();
      if (line) {
        context.moveTo(...picture.toScreen(line.y0, line.x0));
        context.lineTo(...picture.toScreen(line.y1, line.x1));
      } else {
        const [top, low] = [region.y0, region.y1].sort((a, b) => a - b);
        const [left, right] = [region.x0, region.x1].sort((a, b) => a - b);
        const [x, y] = picture.toScreen(top - 0.5, left - 0.5);
        context.rect(x, y, (right - left + 1) * picture.scale, (low - top + 1) * picture.scale);
      }
      for (const [colour, width] of [["rgba(0, 0, 0, 0.8)", 5], ["#ffffff", 2]]) {
        Object.assign(context, { strokeStyle: colour, lineWidth: width, lineCap: "round" });
        context.stroke();
      }
    },
    away,
  };
}

function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Shares of clusters along the line, each with a band of one standard error. */
function chart({ points, clusters }, state) {
  const step = state.run.scan.step?.[0] === state.run.scan.step?.[1] ? state.run.scan.step?.[0] : null;
  const length = points.at(-1).distance || 1;
  const most = Math.max(1, ...points.flatMap(({ shares }) => shares));
  const across = (distance) => LEFT + (distance / length) * (WIDE - LEFT - 8);
  const up = (share) => 8 + (1 - Math.min(Math.max(share, 0), most) / most) * (HIGH - BELOW - 8);
  const drawing = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", class: "chart" });
  const text = step ? `${written(length * step)} ${unitText(state.run.scan.unit)}` : `${written(length)} positions`;
  drawing.append(svg("title", {}, `Shares of clusters along the line, ${text} long`));
  for (const share of [0, most / 2, most]) {
    drawing.append(svg("line", { x1: LEFT, x2: WIDE - 8, y1: up(share), y2: up(share), class: "grid" }));
    drawing.append(svg("text", { x: LEFT - 6, y: up(share) + 4, "text-anchor": "end" }, share.toFixed(1)));
  }
  drawing.append(svg("text", { x: LEFT, y: HIGH - 8 }, "0"), svg("text", { x: WIDE - 8, y: HIGH - 8, "text-anchor": "end" }, text));
  const used = clusters.map((cluster, n) => ({ cluster, n })).filter(({ n }) => points.some(({ shares }) => shares[n] > 0.02));
  for (const { cluster, n } of used) {
    const colour = state.base.clusters[cluster - 1]?.colour ?? "#888888";
    const at = (change) => points.map((point) => `${across(point.distance).toFixed(1)},${up(point.shares[n] + change * (point.errors?.[n] || 0)).toFixed(1)}`);
    drawing.append(svg("polygon", { points: [...at(1), ...at(-1).reverse()].join(" "), fill: colour, opacity: 0.22 }));
    drawing.append(svg("polyline", { points: at(0).join(" "), stroke: colour, class: "curve" }));
  }
  const cursor = svg("line", { y1: 8, y2: HIGH - BELOW, class: "cursor", visibility: "hidden" });
  drawing.append(cursor);
  drawing.addEventListener("pointermove", (event) => {
    const box = drawing.getBoundingClientRect();
    const along = (((event.clientX - box.left) / box.width) * WIDE - LEFT) / (WIDE - LEFT - 8);
    const point = points[Math.round(Math.min(Math.max(along, 0), 1) * (points.length - 1))];
    for (const name of ["x1", "x2"]) cursor.setAttribute(name, across(point.distance));
    cursor.setAttribute("visibility", "visible");
    hereIs(state, { y: Math.round(point.y), x: Math.round(point.x) }, true);
  });
  const legend = used.map(({ cluster }) => {
    const swatch = make("span", { className: "swatch", style: { background: state.base.clusters[cluster - 1]?.colour } });
    return make("li", {}, swatch, state.titleOf(cluster, state.base.clusters));
  });
  const caption = make("figcaption", {}, "Share of each cluster, with its standard error", make("ul", { className: "inline" }, ...legend));
  return make("figure", {}, drawing, caption);
}
