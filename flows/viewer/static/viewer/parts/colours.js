// Colours of values, and how numbers are written.

// Points of perceptually uniform tables, as in matplotlib; between them colours are interpolated.
const POINTS = {
  viridis:
    "440154 48186a 472d7b 424086 3b528b 33638d 2c728e 26828e 21918c " +
    "1fa088 28ae80 3fbc73 5ec962 84d44b addc30 d8e219 fde725",
  inferno:
    "000004 0b0724 210c4a 3d0965 57106e 71196e 8a226a a32c61 bc3754 " +
    "d24644 e45a31 f1731d f98e09 fcac11 f9cb35 f2ea69 fcffa4",
  grey: "000000 ffffff",
  paper: "ffffff 000000",
  // Blue below zero, red above: told apart with all kinds of colour vision.
  differences: "053061 2166ac 4393c3 92c5de d1e5f0 f7f7f7 fddbc7 f4a582 d6604d b2182b 67001f",
};
export const NOT_MEASURED = [0, 0, 0];
export const NO_CLUSTER = [236, 236, 236];
const MOST_SORTED = 40_000;
const tables = new Map();

export const parts = (colour) =>
  [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16) || 0);

/** A table of 256 colours, (256, 3) bytes. */
export function table(name) {
  if (!tables.has(name)) {
    const points = POINTS[name].split(" ").map((text) => parts(`#${text}`));
    const made = new Uint8Array(256 * 3);
    for (let n = 0; n < 256; n++) {
      const along = (n / 255) * (points.length - 1);
      const left = Math.min(Math.floor(along), points.length - 2);
      for (let c = 0; c < 3; c++)
        made[3 * n + c] = Math.round(points[left][c] + (along - left) * (points[left + 1][c] - points[left][c]));
    }
    tables.set(name, made);
  }
  return tables.get(name);
}

/** Black or white, whichever stands out more on a colour (WCAG 2 contrast). */
export function ink(colour) {
  const light = parts(colour)
    .map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  const sum = 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2];
  return (sum + 0.05) ** 2 > 0.05 * 1.05 ? "#000000" : "#ffffff";
}

/**
 * How values become places in a table: `place(value)` in 0..1, and `ticks`, [{at, text}].
 * Kinds: linear, root, log; `signed` is about zero.
 */
export function scaleOf(kind, low, high, { signed = false, floor = null } = {}) {
  const span = high - low || 1;
  if (signed) {
    const half = Math.max(Math.abs(low), Math.abs(high)) || 1;
    const bend = { linear: (u) => u, root: Math.sqrt, log: (u) => Math.log1p(999 * u) / Math.log(1000) }[kind];
    const place = (value) => {
      const u = bend(Math.min(Math.abs(value) / half, 1));
      return 0.5 + (value < 0 ? -u : u) / 2;
    };
    const values = [-half, 0, half];
    return { place, ticks: values.map((value) => ({ at: place(value), text: written(value) })) };
  }
  if (kind === "log" && high > 0) {
    const least = Math.min(Math.max(floor ?? high / 1e4, high / 1e5), high / 2);
    const decades = Math.log(high / least);
    const place = (value) => Math.log(Math.max(value, least) / least) / decades;
    const ticks = [{ at: 0, text: `≤ ${written(least)}` }];
    for (let power = Math.ceil(Math.log10(least)); 10 ** power < high; power++)
      ticks.push({ at: place(10 ** power), text: written(10 ** power) });
    ticks.push({ at: 1, text: written(high) });
    return { place, ticks };
  }
  const bend = kind === "root" ? Math.sqrt : (u) => u;
  const place = (value) => bend(Math.min(Math.max((value - low) / span, 0), 1));
  const steps = kind === "root" ? [0, 0.25, 1] : [0, 0.5, 1];
  return { place, ticks: steps.map((u) => ({ at: bend(u), text: written(low + u * span) })) };
}

/**
 * The smallest and the largest finite value, or those at given fractions of all. Of large arrays
 * fractions are taken from every few values, for sorting all takes longer than drawing.
 */
export function rangeOf(data, lower = 0, upper = 1) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of data) {
    if (value < low) low = value;
    if (value > high && value < Infinity) high = value;
  }
  if (!(low <= high)) return [0, 1];
  if (lower === 0 && upper === 1) return [low, high];
  const every = Math.ceil(data.length / MOST_SORTED);
  const some = data.filter((value, n) => n % every === 0 && Number.isFinite(value)).sort();
  const at = (fraction) => some[Math.round(fraction * (some.length - 1))];
  return [lower === 0 || !some.length ? low : at(lower), upper === 1 || !some.length ? high : at(upper)];
}

/** Colours of an array of numbers, RGBA. */
export function paintNumbers(data, place, colours) {
  const rgba = new Uint8ClampedArray(4 * data.length);
  for (let n = 0; n < data.length; n++) {
    const value = data[n];
    const from = 3 * Math.round(255 * place(value));
    const there = Number.isFinite(value);
    for (let c = 0; c < 3; c++) rgba[4 * n + c] = there ? colours[from + c] : NOT_MEASURED[c];
    rgba[4 * n + 3] = 255;
  }
  return rgba;
}

/** Colours of labels, RGBA; where some are lit, the others step back. */
export function paintLabels(data, clusters, lit = new Set()) {
  // Numbers may have holes.
  const colours = [NO_CLUSTER];
  for (const { number, colour } of clusters) colours[number] = parts(colour);
  const shown = colours.map((colour, n) =>
    lit.size && !lit.has(n) ? colour.map((part) => Math.round(0.14 * part + 0.86 * 214)) : colour,
  );
  const rgba = new Uint8ClampedArray(4 * data.length);
  for (let n = 0; n < data.length; n++) {
    const colour = data[n] < 0 ? NOT_MEASURED : (shown[data[n]] ?? NO_CLUSTER);
    rgba.set(colour, 4 * n);
    rgba[4 * n + 3] = 255;
  }
  return rgba;
}

/** A number as a person writes it: three digits that count, no long rows of zeros. */
export function written(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 1e6 || size < 1e-3) {
    const power = Math.floor(Math.log10(size));
    const factor = (value / 10 ** power).toFixed(1).replace(/\.0$/, "").replace("-", "−");
    const raised = [...String(power)].map((sign) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[sign] ?? "⁻").join("");
    return `${factor} × 10${raised}`;
  }
  const digits = Math.max(0, 2 - Math.floor(Math.log10(size)));
  const text = value.toFixed(digits).replace("-", "−");
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text.replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** A unit as it is written behind a number: 1/nm becomes nm⁻¹, a ratio has none. */
export function unitText(unit, value) {
  if (!unit || unit === "1") return "";
  if (unit === "electron") return value === 1 ? "electron" : "electrons";
  return unit.replace(/^1\/(.+)$/, "$1⁻¹");
}
