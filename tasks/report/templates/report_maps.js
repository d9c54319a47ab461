"use strict";
/* What a pointer over a map tells, and clusters that light up in all maps and patterns.
   Everything here is added to the page: without it nothing is missing. */

const told = { ready: false };

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

async function readExplored() {
  const source = document.getElementById("explored");
  if (!source || !("DecompressionStream" in window)) return;
  Object.assign(told, JSON.parse(source.textContent));
  const [labels, second, ratio, shares] = await Promise.all(
    [told.labels, told.second, told.ratio, told.shares].map((part) => part && unpacked(part))
  );
  told.labels = new Int16Array(labels);
  told.second = second && new Int16Array(second);
  told.ratio = ratio && new Uint8Array(ratio);
  told.shares = shares && new Uint8Array(shares);
  told.ready = true;
  document.documentElement.dataset.explore = "ready";
}

/* Positions and what is known of them ------------------------------------------------------ */

function clusterText(cluster) {
  const name = told.names[cluster];
  return String(cluster + 1) + (name ? " " + name : "");
}

function hundredths(value) {
  return value === 254 ? "≥ 2.54" : (value / 100).toFixed(2);
}

function rounded(value) {
  return String(Number(value.toPrecision(4)));
}

/* Rows of what is known of one position, counted from 0: [what, value, cluster or null]. */
function knownOf(row, column) {
  const [rows, columns] = told.shape;
  const at = row * columns + column;
  const y = row * told.every, x = column * told.every;
  const known = [["row, column", y + ", " + x, null]];
  if (told.unit) {
    const [height, width] = told.step;
    known.push(["y, x", rounded(y * height) + ", " + rounded(x * width) + " " + told.unit, null]);
  }
  const label = told.labels[at];
  if (label === -2) return [...known, ["not measured", "", null]];
  known.push(["cluster", label < 0 ? "none" : clusterText(label), label < 0 ? null : label]);
  if (told.shares) {
    const found = [];
    for (let cluster = 0; cluster * rows * columns < told.shares.length; cluster++) {
      const share = told.shares[cluster * rows * columns + at];
      if (share !== 255 && share > 0) found.push([share, cluster]);
    }
    found.sort((a, b) => b[0] - a[0]);
    for (const [share, cluster] of found.slice(0, 4)) {
      known.push(["share of " + clusterText(cluster), hundredths(share), cluster]);
    }
  }
  if (told.ratio && told.ratio[at] !== 255) {
    const second = told.second && told.second[at] >= 0 ? " with " + clusterText(told.second[at]) : "";
    known.push(["overlap", told.ratio[at] ? hundredths(told.ratio[at]) + second : "none", null]);
  }
  return known;
}

/* The note beside the pointer --------------------------------------------------------------- */

const note = document.createElement("div");
note.className = "told";
note.setAttribute("role", "status");
note.hidden = true;

function showNote(row, column, x, y) {
  const list = document.createElement("dl");
  for (const [what, value, cluster] of knownOf(row, column)) {
    const line = document.createElement("div");
    const term = document.createElement("dt");
    const number = document.createElement("dd");
    if (cluster !== null) {
      const chip = document.createElement("i");
      chip.style.background = told.colours[cluster];
      term.append(chip);
    }
    term.append(what);
    number.append(value);
    line.append(term, number);
    list.append(line);
  }
  note.replaceChildren(list);
  /* A dialog is above everything else but what is in it. */
  const room = document.querySelector("dialog[open]") || document.body;
  if (note.parentNode !== room) room.append(note);
  note.hidden = false;
  const { width, height } = note.getBoundingClientRect();
  const left = x + 16 + width > innerWidth ? x - 12 - width : x + 16;
  const top = y + 16 + height > innerHeight ? y - 12 - height : y + 16;
  note.style.left = Math.max(4, left) + "px";
  note.style.top = Math.max(4, top) + "px";
}

function hideNote() {
  note.hidden = true;
}

/* Clusters that light up -------------------------------------------------------------------- */

let lit = null, covered = false;
const veils = new Map();

/* An image that covers all positions but those of one cluster. */
function veilOf(cluster) {
  const colour = getComputedStyle(document.documentElement).getPropertyValue("--sheet").trim();
  const key = cluster + colour;
  if (!veils.has(key)) {
    const canvas = document.createElement("canvas");
    [canvas.height, canvas.width] = told.shape;
    const context = canvas.getContext("2d");
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    const [red, green, blue] = context.getImageData(0, 0, 1, 1).data;
    const image = context.createImageData(canvas.width, canvas.height);
    told.labels.forEach((label, at) => {
      image.data.set([red, green, blue, label === cluster ? 0 : 205], 4 * at);
    });
    context.putImageData(image, 0, 0);
    veils.set(key, canvas.toDataURL());
  }
  return veils.get(key);
}

/* Light up one cluster, or none; a map that is being looked at is not covered. */
function light(cluster, cover = true) {
  if (!told.ready || (cluster === lit && cover === covered)) return;
  [lit, covered] = [cluster, cover];
  document.querySelectorAll(".veil").forEach((veil) => veil.remove());
  for (const one of document.querySelectorAll("[data-cluster]")) {
    const other = cluster !== null && Number(one.dataset.cluster) !== cluster;
    const whole = one.closest("svg") ? one.parentNode : one;
    whole.classList.toggle("dim", other);
    whole.classList.toggle("lit", cluster !== null && !other);
  }
  if (cluster === null || !cover) return;
  for (const map of document.querySelectorAll("svg .scan:not([data-cluster])")) {
    const box = map.getBBox();
    const veil = document.createElementNS(map.namespaceURI, "image");
    for (const side of ["x", "y", "width", "height"]) veil.setAttribute(side, box[side]);
    veil.setAttribute("preserveAspectRatio", "none");
    veil.setAttribute("class", "veil");
    veil.setAttribute("href", veilOf(cluster));
    map.parentNode.append(veil);
  }
}

/* Pointer and keys -------------------------------------------------------------------------- */

function inside(box, x, y) {
  return x >= box.left && x < box.right && y >= box.top && y < box.bottom;
}

/* The marked part of a figure under a pointer. */
function markedAt(target, x, y) {
  const figure = target instanceof Element && target.closest("svg");
  if (!figure) return null;
  for (const part of figure.querySelectorAll(".scan, .pattern")) {
    const box = part.getBoundingClientRect();
    if (inside(box, x, y)) return { part, box };
  }
  return null;
}

/* Row and column under a pointer, as they are told. */
function positionAt(box, x, y) {
  const [rows, columns] = told.shape, [allRows, allColumns] = told.full;
  const row = Math.floor((allRows * (y - box.top)) / box.height / told.every);
  const column = Math.floor((allColumns * (x - box.left)) / box.width / told.every);
  return [Math.min(row, rows - 1), Math.min(column, columns - 1)];
}

function pointed(event) {
  if (!told.ready) return;
  const found = markedAt(event.target, event.clientX, event.clientY);
  if (found && found.part.classList.contains("scan")) {
    const [row, column] = positionAt(found.box, event.clientX, event.clientY);
    showNote(row, column, event.clientX, event.clientY);
    cursor = [row, column];
    const own = found.part.dataset.cluster;
    const label = told.labels[row * told.shape[1] + column];
    light(own !== undefined ? Number(own) : label < 0 ? null : label, false);
    return;
  }
  hideNote();
  const one = found ? found.part : event.target instanceof Element && event.target.closest("[data-cluster]");
  light(one ? Number(one.dataset.cluster) : null);
}

let cursor = [0, 0];
const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/* Arrow keys on a map move from position to position. */
function moved(event) {
  const map = event.target instanceof Element && event.target.querySelector("svg .scan");
  if (!told.ready || !map || !(event.key in STEPS) || !event.target.matches(".paper")) return;
  event.preventDefault();
  cursor = cursor.map((at, axis) =>
    Math.max(0, Math.min(told.shape[axis] - 1, at + STEPS[event.key][axis] * (event.shiftKey ? 10 : 1)))
  );
  const box = map.getBoundingClientRect();
  const [y, x] = cursor.map((at, axis) => ((at + 0.5) * told.every) / told.full[axis]);
  showNote(...cursor, box.left + x * box.width, box.top + y * box.height);
  const label = told.labels[cursor[0] * told.shape[1] + cursor[1]];
  light(label < 0 ? null : label, false);
}

document.addEventListener("pointermove", pointed, { passive: true });
document.addEventListener("pointerdown", pointed, { passive: true });
document.documentElement.addEventListener("pointerleave", () => { hideNote(); light(null); });
document.addEventListener("scroll", hideNote, { passive: true, capture: true });
document.addEventListener("keydown", moved);
document.addEventListener("focusin", (event) => {
  const one = event.target instanceof Element && event.target.closest("[data-cluster]");
  if (one && told.ready) light(Number(one.dataset.cluster));
});
document.addEventListener("focusout", () => { hideNote(); light(null); });
readExplored();

