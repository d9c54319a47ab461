// A disc or ring drawn on the pattern, and the virtual image of what falls into it.

import { address, getArray, latest } from "./parts/api.js";
import { unitText, written } from "./parts/colours.js";
import { find, make } from "./parts/dom.js";

const LAYER = "drawn-detector";
const GRIP_PX = 9;
const COLOUR = "#4be3ff";
const FIELDS = [["y", "Centre row"], ["x", "Centre column"], ["radius", "Radius"], ["inner", "Inner radius"]];

export function startDetector(state) {
  let shape = null; // {shape: "disc"|"ring", y, x, radius, inner}
  let picture = null;
  let shift = () => [0, 0];
  let exactly = null;

  const path = (exact) => {
    const { shape: kind, ...places } = shape;
    const rounded = Object.entries(places).map(([name, value]) => [name, value.toFixed(2)]);
    const asked = { shape: kind, ...Object.fromEntries(rounded), exact };
    if (kind === "disc") delete asked.inner;
    return address("./api/virtual", asked);
  };

  function take({ data, shape: rows, headers }, of) {
    const exact = headers.get("X-Exact") === "exact";
    // Both are known once a sample of the patterns has been read.
    const [error, noise] = ["X-Error", "X-Noise"].map((name) => Number(headers.get(name) ?? 0));
    const far = error > 0 ? `, ± ${written(100 * error)} %` : "";
    const beside = error > 0 && noise > 0 ? ` (counting noise alone: ${written(100 * noise)} %)` : "";
    const said = exact ? "Exact" : `Approximate${far}`;
    find("detector-said").textContent = exact
      ? "The image is exact: all patterns were summed."
      : `The image is approximate${far}${beside}; the exact one is being summed.`;
    state.set({ drawn: { values: data, shape: rows, said, exact, of }, layer: LAYER, boundary: null });
    return exact;
  }
  const trouble = (error) => {
    if (error.name !== "AbortError") find("detector-said").textContent = error.message;
  };
  const approximate = latest(async (wish, signal) => {
    if (!shape) return;
    const array = await getArray(path(0), signal);
    // Of a shape that is dragged the last but one is shown, too; but nothing after the exact one.
    if (shape && !(state.drawn?.exact && state.drawn.of === shape)) take(array, wish);
  }, trouble);

  function sum() {
    exactly?.abort();
    const mine = (exactly = new AbortController());
    const wish = shape;
    getArray(path(1), mine.signal).then((array) => wish === shape && take(array, wish)).catch(trouble);
  }

  /** Another shape: its image at once, and, where nobody is dragging any more, the exact one. */
  function change(next, done) {
    const [rows, columns] = state.run.detector.shape;
    const clip = (value, low, high) => Math.min(Math.max(value, low), high);
    const radius = clip(next.radius, 0.5, Math.hypot(rows, columns));
    const inner = clip(next.inner, 0, Math.max(radius - 0.5, 0));
    shape = { ...next, radius, inner, y: clip(next.y, 0, rows - 1), x: clip(next.x, 0, columns - 1) };
    exactly?.abort();
    fields();
    picture.draw();
    approximate(shape);
    if (done) sum();
  }

  function away() {
    exactly?.abort();
    shape = null;
    find("detector-said").textContent = "";
    fields();
    picture.draw();
    state.set({ drawn: null, layer: state.layer === LAYER ? "clusters" : state.layer });
  }

  /** Put one where the direct beam is, so that it can be had without a pointer. */
  function place(kind) {
    const [rows, columns] = state.run.detector.shape;
    const [y, x] = state.run.detector.centre ?? [(rows - 1) / 2, (columns - 1) / 2];
    const size = Math.min(rows, columns);
    const fresh = { y, x, radius: kind === "disc" ? size / 16 : size / 4, inner: kind === "disc" ? 0 : size / 8 };
    const inner = kind === "disc" ? 0 : shape?.inner || (shape?.radius ?? 0) / 2;
    change({ ...(shape ? { ...shape, inner } : fresh), shape: kind }, true);
  }

  function fields() {
    const form = find("detector-fields");
    form.hidden = !shape;
    find("detector-away").disabled = !shape;
    for (const kind of ["disc", "ring"]) find(kind).setAttribute("aria-pressed", String(shape?.shape === kind));
    find("detector-hint").hidden = Boolean(shape);
    picture.canvas.classList.toggle("drawing", active());
    if (!shape) return;
    const { step, unit } = state.run.detector;
    if (!form.children.length)
      for (const [name, title] of FIELDS) {
        const input = make("input", { type: "number", step: "any", name });
        input.addEventListener("change", () => Number.isFinite(input.valueAsNumber) && change({ ...shape, [name]: input.valueAsNumber }, true));
        form.append(make("label", { className: "stacked" }, make("span", {}, title), input, make("small", {})));
      }
    for (const label of form.children) {
      const input = label.querySelector("input");
      const value = shape[input.name];
      label.hidden = input.name === "inner" && shape.shape === "disc";
      if (document.activeElement !== input || input.valueAsNumber !== value) input.value = value.toFixed(1);
      const long = input.name === "radius" || input.name === "inner";
      label.querySelector("small").textContent = long && step && unit ? `${written(value)} px = ${written(value * step[1])} ${unitText(unit)}` : "px";
    }
  }

  // Where the beam wandered, the detector goes with it: a pattern as acquired lies elsewhere.
  const onPattern = ({ y, x }) => ({ y: y - shift()[0], x: x - shift()[1] });

  // On other tabs the pattern is looked at without it.
  const active = () => state.tab === "detector";

  function grip(at) {
    if (!shape || !active()) return null;
    const [x, y] = picture.toScreen(at.y, at.x);
    const middle = onPattern(shape);
    const near = (radius) => {
      const [u, v] = picture.toScreen(middle.y, middle.x + radius);
      return Math.hypot(x - u, y - v) <= GRIP_PX + 3;
    };
    if (near(shape.radius)) return "radius";
    if (shape.shape === "ring" && near(shape.inner)) return "inner";
    const away = Math.hypot(at.y - middle.y, at.x - middle.x);
    return away <= shape.radius ? "middle" : null;
  }

  /** Begin to drag: a handle, the whole, or a new one from its centre. */
  function grab(at) {
    if (!active()) return null;
    const what = grip(at);
    const start = shape ? { ...shape } : { shape: "disc" };
    const to = (place) => {
      const middle = what && onPattern(start);
      const far = what && Math.hypot(place.y - middle.y, place.x - middle.x);
      if (what === "radius") return { ...start, radius: far };
      if (what === "inner") return { ...start, inner: far };
      if (what === "middle") return { ...start, y: start.y + place.y - at.y, x: start.x + place.x - at.x };
      const radius = Math.hypot(place.y - at.y, place.x - at.x);
      return { ...start, y: at.y + shift()[0], x: at.x + shift()[1], radius, inner: start.shape === "ring" ? radius / 2 : 0 };
    };
    return { move: (place) => change(to(place), false), end: (place) => change(to(place), true) };
  }

  function draw(context) {
    if (!shape || !active()) return;
    const middle = onPattern(shape);
    const [x, y] = picture.toScreen(middle.y, middle.x);
    const circle = (radius) => {
      context.beginPath();
      context.arc(x, y, radius * picture.scale, 0, 2 * Math.PI);
    };
    const radii = shape.shape === "ring" ? [shape.radius, shape.inner] : [shape.radius];
    for (const [colour, width] of [["rgba(0, 0, 0, 0.7)", 4], [COLOUR, 2]])
      for (const radius of radii) {
        Object.assign(context, { strokeStyle: colour, lineWidth: width });
        circle(radius);
        context.stroke();
      }
    context.fillStyle = "rgba(75, 227, 255, 0.16)";
    context.beginPath();
    context.arc(x, y, shape.radius * picture.scale, 0, 2 * Math.PI);
    if (shape.shape === "ring") context.arc(x, y, shape.inner * picture.scale, 0, 2 * Math.PI, true);
    context.fill();
    Object.assign(context, { fillStyle: "#ffffff", strokeStyle: "#0b2a33", lineWidth: 1.5 });
    for (const radius of radii) {
      const size = GRIP_PX;
      context.beginPath();
      context.roundRect(x + radius * picture.scale - size / 2, y - size / 2, size, size, 2);
      context.fill();
      context.stroke();
    }
  }

  find("disc").addEventListener("click", () => place("disc"));
  find("ring").addEventListener("click", () => place("ring"));
  find("detector-away").addEventListener("click", away);
  find("detector-fields").addEventListener("submit", (event) => event.preventDefault());
  state.on("run", () => shape && picture && change(shape, true));
  state.on("tab", () => picture && (picture.canvas.classList.toggle("drawing", active()), picture.draw()));
  return {
    draw,
    away,
    get there() {
      return Boolean(shape);
    },
    /** Take the picture of the pattern, which did not exist before, and by how much it is moved. */
    on(pattern) {
      ({ picture, shift } = pattern);
      const cursors = { radius: "ew-resize", inner: "ew-resize", middle: "move" };
      picture.listen({
        grab,
        hover: (place) => (picture.canvas.style.cursor = active() ? (cursors[grip(place)] ?? "crosshair") : ""),
      });
    },
  };
}
