/* Figures and clusters that are enlarged, and figures that are saved. */

function button(text, label, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.setAttribute("aria-label", label);
  made.addEventListener("click", act);
  return made;
}

/* Saving ------------------------------------------------------------------------------------ */

const FONTS = '"DejaVu Sans",Verdana,"Liberation Sans",sans-serif';

/* A figure as it is on its own: in the colours of print, on white. */
function standalone(svg) {
  const copy = svg.cloneNode(true);
  copy.querySelectorAll(".veil").forEach((veil) => veil.remove());
  copy.querySelectorAll(".dim, .lit").forEach((part) => part.classList.remove("dim", "lit"));
  for (const part of copy.querySelectorAll("[style]")) {
    part.setAttribute("style", part.getAttribute("style").replace(/var\(--\w+, (#\w+)\)/g, "$1"));
  }
  const [, , width, height] = copy.getAttribute("viewBox").split(" ").map(Number);
  copy.setAttribute("width", width + "pt");
  copy.setAttribute("height", height + "pt");
  copy.removeAttribute("style");
  const style = document.createElementNS(svg.namespaceURI, "style");
  style.textContent =
    "*{stroke-linejoin:round;stroke-linecap:butt}text{font-family:" + FONTS + "}";
  const paper = document.createElementNS(svg.namespaceURI, "rect");
  for (const [name, value] of [["width", width], ["height", height], ["fill", "#ffffff"]]) {
    paper.setAttribute(name, value);
  }
  copy.prepend(style, paper);
  return new Blob([new XMLSerializer().serializeToString(copy)], { type: "image/svg+xml" });
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/* Four times as many dots as points: enough for print. */
async function raster(svg) {
  const [, , width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
  const scale = Math.min(4, Math.sqrt(40e6 / (width * height)));
  const image = new Image();
  image.src = URL.createObjectURL(standalone(svg));
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(image.src);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

/* A cluster as a figure: its images side by side, their scale, its numbers below. */
function drawnCard(card) {
  const side = 220, gap = 14, top = 30;
  const space = document.querySelector("svg").namespaceURI;
  const svg = document.createElementNS(space, "svg");
  const add = (tag, attributes, text = "") => {
    const made = document.createElementNS(space, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.textContent = text;
    svg.append(made);
  };
  const number = card.querySelector(".number"), colour = getComputedStyle(number).backgroundColor;
  const heading = [...card.querySelector("h3").childNodes].filter((part) => part.nodeName !== "BUTTON");
  add("rect", { width: 26, height: 20, rx: 4, fill: colour });
  const middle = { x: 13, y: 15, "font-size": 12, "text-anchor": "middle", "font-weight": "bold" };
  add("text", { ...middle, fill: getComputedStyle(number).color }, number.textContent);
  const rest = heading.slice(1).map((part) => part.textContent.trim()).filter(Boolean).join("  ");
  add("text", { x: 34, y: 15, "font-size": 11, fill: "#20242b" }, rest);
  let low = top;
  const views = [...card.querySelectorAll(".views figure")];
  views.forEach((view, i) => {
    const image = view.querySelector("img"), x = i * (side + gap);
    const height = (side * image.naturalHeight) / image.naturalWidth;
    const pixels = { style: "image-rendering:pixelated", preserveAspectRatio: "none" };
    add("image", { x, y: top, width: side, height, href: image.src, ...pixels });
    const scale = view.querySelector(".scale");
    if (scale) {
      const length = (side * parseFloat(scale.style.width)) / 100;
      const white = { x: x + 10, fill: "#ffffff", stroke: "#000000", "stroke-width": 0.6 };
      add("rect", { ...white, y: top + height - 14, width: length, height: 3 });
      const words = { ...white, y: top + height - 19, "font-size": 10, "paint-order": "stroke" };
      add("text", { ...words, "stroke-width": 2 }, scale.textContent);
    }
    const caption = { x, y: top + height + 14, "font-size": 9.5, fill: "#5d6673" };
    add("text", caption, view.querySelector("figcaption").textContent);
    low = Math.max(low, top + height + 20);
  });
  const width = Math.max(views.length, 2) * (side + gap) - gap;
  [...card.querySelectorAll(".scores > div")].forEach((line, i) => {
    const x = (i % 4) * (width / 4), y = low + 16 + 15 * Math.floor(i / 4);
    const [name, value] = [...line.children].map((part) => part.textContent);
    add("text", { x, y, "font-size": 9.5, fill: "#20242b" }, name + " " + value);
    svg.setAttribute("viewBox", "0 0 " + width + " " + (y + 10));
  });
  return svg;
}

/* Enlarging --------------------------------------------------------------------------------- */

const dialog = document.createElement("dialog");
dialog.className = "enlarged";
let shown = [], at = 0;

function tools(what, inDialog) {
  const card = what.matches(".card");
  const name = card ? "cluster-" + (Number(what.dataset.cluster) + 1) : what.dataset.name;
  const drawn = () => (card ? drawnCard(what) : what.querySelector("svg"));
  const bar = document.createElement("div");
  bar.className = "tools";
  if (!inDialog) bar.append(button("Enlarge", "Enlarge " + name, () => enlarge(what)));
  bar.append(
    button("PNG", "Save " + name + " as PNG", async () => save(await raster(drawn()), name + ".png")),
    button("SVG", "Save " + name + " as SVG", () => save(standalone(drawn()), name + ".svg"))
  );
  return bar;
}

/* Everything of one kind can be stepped through: all figures, or all clusters. */
function enlarge(what) {
  const kind = what.matches(".card") ? ".card" : ".figure";
  shown = [...document.querySelectorAll("main " + kind)];
  at = shown.indexOf(what);
  showEnlarged();
  if (!dialog.open) dialog.showModal();
}

function showEnlarged() {
  const copy = shown[at].cloneNode(true);
  copy.removeAttribute("id");
  copy.querySelectorAll(".veil, .tools").forEach((part) => part.remove());
  const bar = tools(copy, true);
  bar.prepend(button("‹", "Previous", () => step(-1)), button("›", "Next", () => step(1)));
  bar.append(button("Close", "Close", () => dialog.close()));
  dialog.replaceChildren(bar, copy);
  const svg = copy.matches(".figure") && copy.querySelector("svg");
  if (svg) {
    /* As large as the window allows, but never so small that text cannot be read. */
    const [, , width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
    const room = Math.min((innerWidth - 60) / width, (innerHeight - 190) / height);
    svg.style.width = Math.max(width * room, parseFloat(svg.style.minWidth)) + "px";
    svg.style.maxWidth = "none";
  }
  lit = undefined;
  light(null);
}

function step(by) {
  at = (at + by + shown.length) % shown.length;
  showEnlarged();
}

dialog.addEventListener("keydown", (event) => {
  if (event.target.matches(".paper")) return;
  if (event.key === "ArrowRight" || event.key === "ArrowLeft") step(event.key === "ArrowRight" ? 1 : -1);
});
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
dialog.addEventListener("close", () => { hideNote(); dialog.replaceChildren(); });
document.body.append(dialog);

for (const figure of document.querySelectorAll("main .figure")) {
  figure.append(tools(figure, false));
  if (figure.querySelector(".scan")) figure.querySelector(".paper").tabIndex = 0;
}
for (const card of document.querySelectorAll(".card")) {
  const name = "Enlarge cluster " + (Number(card.dataset.cluster) + 1);
  card.querySelector("h3").append(button("Enlarge", name, () => enlarge(card)));
}
for (const tile of document.querySelectorAll(".tile[data-cluster]")) {
  const card = document.querySelector('.card[data-cluster="' + tile.dataset.cluster + '"]');
  const open = () => card && enlarge(card);
  tile.tabIndex = 0;
  tile.setAttribute("role", "button");
  tile.addEventListener("click", open);
  tile.addEventListener("keydown", (event) => { if (event.key === "Enter") open(); });
}

/* What is folded is printed, too. */
addEventListener("beforeprint", () => {
  light(null);
  for (const fold of document.querySelectorAll("details:not([open])")) {
    fold.open = true;
    fold.dataset.folded = "";
  }
});
addEventListener("afterprint", () => {
  for (const fold of document.querySelectorAll("details[data-folded]")) {
    fold.open = false;
    delete fold.dataset.folded;
  }
});
