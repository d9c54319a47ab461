// What is drawn on the map: boundaries, numbers of clusters, positions.

import { ink } from "./colours.js";

const NUMBER_PX = 13;
const PINNED = "pinned";

/** Positions where two clusters touch, Uint8Array of 0 and 1. */
export function touching({ data, shape }, [one, other]) {
  const columns = shape[1];
  const found = new Uint8Array(data.length);
  const meets = (a, b) => (a === one && b === other) || (a === other && b === one);
  for (let n = 0; n < data.length; n++)
    for (const next of [(n + 1) % columns ? n + 1 : -1, n + columns])
      if (next > 0 && next < data.length && meets(data[n], data[next])) found[n] = found[next] = 1;
  return found;
}

/** Draw edges between positions that differ, and around a boundary that is pointed at. */
export function drawBoundaries(context, picture, state, asked) {
  const edges = (data, differ) => {
    const [rows, columns] = picture.shape;
    context.beginPath();
    const line = (y0, x0, y1, x1) => {
      context.moveTo(...picture.toScreen(y0, x0));
      context.lineTo(...picture.toScreen(y1, x1));
    };
    for (let y = 0; y < rows; y++)
      for (let x = 0; x < columns; x++) {
        const n = y * columns + x;
        if (x + 1 < columns && differ(data[n], data[n + 1])) line(y - 0.5, x + 0.5, y + 0.5, x + 0.5);
        if (y + 1 < rows && differ(data[n], data[n + columns])) line(y + 0.5, x - 0.5, y + 0.5, x + 0.5);
      }
  };
  const stroke = (colour, width) => {
    Object.assign(context, { strokeStyle: colour, lineWidth: width, lineCap: "square" });
    context.stroke();
  };
  const several = state.lit.size && state.layer !== "clusters";
  if (state.labels && (asked || several)) {
    const lit = (label) => (state.lit.size ? state.lit.has(label) : label);
    edges(state.labels.data, (a, b) => lit(a) !== lit(b));
    stroke("rgba(0, 0, 0, 0.55)", 3);
    stroke("#ffffff", 1.25);
  } else if (state.base && state.layer === "doubt") {
    // Doubt is along boundaries: without them nobody knows of what.
    edges(state.base.labels.data, (a, b) => a !== b);
    stroke("rgba(255, 255, 255, 0.4)", 1);
  }
  if (state.boundary) {
    edges(state.boundary, (a, b) => a !== b);
    stroke("rgba(0, 0, 0, 0.75)", 4);
    stroke("#ff5da2", 2);
  }
}

/** Mark where the pinned pattern is from. */
export function drawPinned(context, picture, pinned) {
  if (!pinned) return;
  const [x, y] = picture.toScreen(pinned.y, pinned.x);
  Object.assign(context, { fillStyle: "#ffffff", strokeStyle: "rgba(0, 0, 0, 0.8)", lineWidth: 2 });
  context.beginPath();
  context.arc(x, y, 5, 0, 2 * Math.PI);
  context.fill();
  context.stroke();
  Object.assign(context, { font: `600 ${NUMBER_PX}px system-ui, sans-serif`, textBaseline: "middle" });
  const wide = context.measureText(PINNED).width + 10;
  const left = x + 10 + wide > picture.canvas.clientWidth ? x - 10 - wide : x + 10;
  context.fillStyle = "rgba(10, 13, 18, 0.78)";
  context.beginPath();
  context.roundRect(left, y - 10, wide, 20, 4);
  context.fill();
  context.fillStyle = "#ffffff";
  context.fillText(PINNED, left + 5, y + 1);
}

/** Draw a frame around the position, with hairlines to the sides where it is fixed. */
export function drawPosition(context, picture, { position, fixed }) {
  if (!position) return;
  const size = Math.max(picture.scale, 7);
  const [x, y] = picture.toScreen(position.y, position.x);
  for (const [colour, width] of [["rgba(0, 0, 0, 0.8)", fixed ? 4 : 3], ["#ffffff", fixed ? 2 : 1.25]]) {
    Object.assign(context, { strokeStyle: colour, lineWidth: width });
    context.strokeRect(x - size / 2 - 1, y - size / 2 - 1, size + 2, size + 2);
    if (!fixed) continue;
    context.beginPath();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      context.moveTo(x + dx * (size / 2 + 3), y + dy * (size / 2 + 3));
      context.lineTo(x + dx * (size / 2 + 12), y + dy * (size / 2 + 12));
    }
    context.stroke();
  }
}

/** For each label from 1 on the position farthest from all others: {label, y, x, far}. */
export function insides({ data, shape: [rows, columns] }) {
  const far = new Uint16Array(data.length).fill(65535);
  const near = (n, next, inside) => {
    const there = inside && data[next] === data[n] ? far[next] + 1 : 1;
    if (there < far[n]) far[n] = there;
  };
  for (let n = 0; n < data.length; n++) {
    near(n, n - columns, n >= columns);
    near(n, n - 1, n % columns > 0);
  }
  const best = new Map();
  for (let n = data.length - 1; n >= 0; n--) {
    near(n, n + columns, n + columns < data.length);
    near(n, n + 1, n % columns < columns - 1);
    const label = data[n];
    if (label > 0 && far[n] > (best.get(label)?.far ?? 0))
      best.set(label, { label, y: Math.floor(n / columns), x: n % columns, far: far[n] });
  }
  return [...best.values()];
}

/** Write the number of each cluster where it is widest, if there is room. */
export function drawNumbers(context, picture, places, { clusters, lit }) {
  Object.assign(context, { font: `700 ${NUMBER_PX}px system-ui, sans-serif`, textAlign: "center", textBaseline: "middle" });
  for (const { label, y, x, far } of places) {
    const text = `${label}`;
    if ((2 * far - 1) * picture.scale < Math.max(NUMBER_PX + 4, context.measureText(text).width + 6)) continue;
    const pale = lit.size && !lit.has(label);
    context.fillStyle = pale ? "#3a414b" : ink(clusters.find(({ number }) => number === label)?.colour ?? "#ececec");
    context.fillText(text, ...picture.toScreen(y, x));
  }
}
