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
    "*{stroke-linejoin:round;stroke-linecap:butt}text{font-family:" + getComputedStyle(svg).fontFamily + "}";
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

/* Three times as many dots as on the screen: enough for print. */
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

/* Enlarging --------------------------------------------------------------------------------- */

const dialog = document.createElement("dialog");
dialog.className = "enlarged";
let shown = [], at = 0;

function tools(figure, inDialog) {
  const svg = figure.querySelector("svg"), name = figure.dataset.name;
  const bar = document.createElement("div");
  bar.className = "tools";
  if (!inDialog) bar.append(button("Enlarge", "Enlarge figure " + name, () => enlarge(figure)));
  bar.append(
    button("PNG", "Save figure " + name + " as PNG", async () => save(await raster(svg), name + ".png")),
    button("SVG", "Save figure " + name + " as SVG", () => save(standalone(svg), name + ".svg"))
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
  const bar = copy.matches(".figure") ? tools(copy, true) : document.createElement("div");
  bar.className = "tools";
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
