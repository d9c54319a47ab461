// The pattern at the right: at the position, of a cluster or of a region, and what it is made of.

import { address, getJson, getKept, isKept, latest } from "./parts/api.js";
import { colourBar, scaleBar } from "./parts/bars.js";
import { paintNumbers, rangeOf, scaleOf, table, unitText, written } from "./parts/colours.js";
import { download, find, make, notice, say, segments } from "./parts/dom.js";
import { Picture } from "./parts/picture.js";
import { sharesList } from "./parts/shares.js";
import { numbered } from "./state.js";

const OF_CLUSTERS = [{ id: "mean", title: "Mean" }, { id: "representative", title: "Factorised" }];
// Of all pixels, what is not brighter than the end of the colours: the direct beam would leave
// nothing for the reflections.
const BRIGHTEST = 0.998;
// Short enough for a row; what the server calls them is shown on hovering.
const SHORT = { raw: "Acquired", filtered: "Analysed", reconstructed: "Fit", residual: "Residual" };

/** One pattern with its title and its bar of colours. */
class Pane {
  constructor(figure, state, overlays = []) {
    this.figure = figure;
    this.state = state;
    this.shown = null;
    const calibration = () => {
      const { step, unit } = state.run.detector;
      return step && unit ? { step: step[1], unit } : null;
    };
    const bar = scaleBar(calibration, "px");
    this.picture = new Picture(figure.querySelector("canvas"), [...overlays, bar]);
  }

  /** The lowest and the highest value that gets a colour of its own. */
  get range() {
    const { data, kind } = this.shown;
    if (kind === "residual") return rangeOf(data, 1 - BRIGHTEST, BRIGHTEST);
    // Sparse counts have most pixels at zero: the range is that of all but the very brightest.
    const [low, high] = rangeOf(data, 0, BRIGHTEST);
    return [Math.min(low, 0), high];
  }

  /** Draw, with the range of values given or that of the pattern alone. */
  paint([low, high] = this.shown ? this.range : []) {
    if (!this.shown) return;
    const { data, shape, title, kind } = this.shown;
    const node = this.figure.querySelector(".title");
    node.textContent = node.title = title;
    const dimmer = 2 ** -Number(find("brightness").value);
    const bend = document.querySelector("[name=scale]:checked").value;
    const signed = kind === "residual";
    let scale;
    if (signed) scale = scaleOf(bend, low * dimmer, high * dimmer, { signed });
    else {
      const positive = data.filter((value) => value > 0);
      const floor = positive.length ? rangeOf(positive, 0.01)[0] / 2 : null;
      scale = scaleOf(bend, low, low + (high - low) * dimmer, { floor });
    }
    const colours = table(signed ? "differences" : find("table").value);
    const place = (value) => Math.min(Math.max(scale.place(value), 0), 1);
    this.picture.show(paintNumbers(data, place, colours), shape);
    if (!signed) scale.ticks.at(-1).text = `≥ ${scale.ticks.at(-1).text}`;
    colourBar(this.figure.querySelector(".colours"), colours, scale.ticks, this.state.run.intensity_unit, "");
  }
}

const lower = (title) => title[0].toLowerCase() + title.slice(1);

export function startPattern(state, overlays) {
  const current = new Pane(find("current"), state, overlays);
  const pinned = new Pane(find("pinned"), state);
  let kindOfPosition = null;
  let kindOfCluster = "mean";

  const kinds = () => (state.subject?.of === "cluster" ? OF_CLUSTERS : state.subject?.of === "region" ? [{ id: "raw", title: "Mean" }] : ofPosition());
  const ofPosition = () => state.run.pattern_kinds.map(({ id, title }) => ({ id, title: SHORT[id] ?? title, hint: title }));
  const kind = () => (state.subject.of === "cluster" ? kindOfCluster : state.subject.of === "region" ? "raw" : kindOfPosition);

  function where(subject, kind) {
    const { revision } = state;
    if (subject.of === "cluster") {
      const number = state.storedNumber(subject.number);
      return number && address(`./api/cluster/${number}/${kind}`, { revision });
    }
    if (subject.of === "region") {
      const { y0, x0, y1, x1 } = subject;
      return address("./api/region", { y0, x0, y1, x1 });
    }
    const ofClusters = kind === "reconstructed" || kind === "residual";
    return address(`./api/pattern/${kind}`, { y: subject.y, x: subject.x, revision: ofClusters ? revision : null });
  }

  function titleOf(subject) {
    if (subject.of === "position") {
      const label = state.labelAt(subject);
      return `Row ${subject.y}, column ${subject.x}${label > 0 ? ` · cluster ${state.titleOf(label)}` : ""}`;
    }
    if (subject.of === "cluster") {
      const { positions } = numbered(state.clusters, subject.number) ?? {};
      return `Cluster ${state.titleOf(subject.number)} · ${written(positions)} positions`;
    }
    return `Rows ${subject.y0}–${subject.y1}, columns ${subject.x0}–${subject.x1}`;
  }

  const draw = latest(async ({ subject, kind, path }, signal) => {
    const started = performance.now();
    const { data, shape, headers } = await getKept(path, signal);
    if (subject !== state.subject) return;
    notice("trouble", "");
    const count = subject.of === "region" ? ` · mean of ${headers.get("X-Positions")}` : "";
    const shift = (headers.get("X-Shift") ?? "0,0").split(",").map(Number);
    current.shown = { data, shape, kind, shift, of: subject, title: titleOf(subject) + count };
    paint();
    const node = current.picture.canvas;
    node.dataset.shown = path;
    node.dataset.milliseconds = Math.round(performance.now() - started);
    if (subject.of === "position" && state.fixed) prefetch(subject, kind);
  }, (error) => notice("trouble", error.message));

  /** Ask for the patterns around a position that is held: an arrow key finds them there. */
  function prefetch({ y, x }, kind) {
    const [rows, columns] = state.run.scan.shape;
    for (const [v, u] of [[y, x + 1], [y, x - 1], [y + 1, x], [y - 1, x]]) {
      if (v < 0 || u < 0 || v >= rows || u >= columns) continue;
      const path = where({ of: "position", y: v, x: u }, kind);
      if (!isKept(path)) getKept(path).catch(() => {});
    }
  }

  /** Return what lists the shares at a position in an element. */
  const takingApart = (node) => latest(async (subject, signal) => {
    const { y, x } = subject;
    const found = await getJson(address("./api/decomposition", { y, x, revision: state.revision }), signal);
    if (subject !== state.subject && subject !== state.pinned) return;
    // Shares are of the clusters that are stored; those of a preview or of changes are not computed.
    const { clusters } = state.regrouped ? state.base : state;
    const before = !state.regrouped ? "" : state.number === null ? " before your changes" : " before this preview";
    const heading = state.pinned ? `Shares at row ${y}, column ${x}${before}` : `Shares of ${before && `the ${clusters.length} `}clusters${before}`;
    node.classList.toggle("narrow", clusters.every(({ name }) => !name));
    node.replaceChildren(...sharesList(found, { clusters, titleOf: (number) => state.titleOf(number, clusters), heading, unit: state.run.intensity_unit }));
  }, (error) => node.replaceChildren(make("p", { className: "quiet" }, error.message)));
  const takeApart = takingApart(find("shares"));
  const takePinnedApart = takingApart(find("pinned-shares"));

  /** Draw both patterns; on one scale, where that is wanted and both are of one kind. */
  function paint() {
    const signed = (pane) => pane.shown?.kind === "residual";
    const two = Boolean(current.shown && pinned.shown);
    const common = two && signed(current) === signed(pinned);
    find("common").parentElement.hidden = !two;
    find("common").disabled = !common;
    if (!common || !find("common").checked) return [current, pinned].forEach((pane) => pane.paint());
    const ranges = [current.range, pinned.range];
    const range = [Math.min(...ranges.map(([low]) => low)), Math.max(...ranges.map(([, high]) => high))];
    return [current, pinned].forEach((pane) => pane.paint(range));
  }

  function refresh() {
    const { subject } = state;
    if (!subject || !state.base || !kind()) return;
    segments(find("kinds"), kinds(), kind(), (chosen) => {
      if (state.subject.of === "cluster") kindOfCluster = chosen;
      else kindOfPosition = chosen;
      refresh();
    });
    const path = where(subject, kind());
    if (path) draw({ subject, kind: kind(), path });
    else current.figure.querySelector(".title").textContent = `${titleOf(subject)} · its mean pattern is computed when it is saved`;
    if (subject.of === "position" && state.base.clusters.length) takeApart(subject);
    else find("shares").replaceChildren();
    if (state.pinned && state.base.clusters.length) takePinnedApart(state.pinned);
  }

  function pin(on) {
    if (on && !current.shown) return;
    find("pinned").hidden = !on;
    find("panes").classList.toggle("two", on);
    find("decompositions").classList.toggle("two", on);
    find("pinned-shares").hidden = !on;
    find("pinned-shares").replaceChildren();
    pinned.shown = on ? { ...current.shown, title: `Pinned: ${lower(current.shown.title)}` } : null;
    paint();
    const subject = on && current.shown.of;
    state.set({ pinned: subject?.of === "position" ? subject : null });
    if (state.subject) refresh();
  }

  /** Say what is under the pointer: the pixel, its value, and how far from the direct beam it is. */
  function readPixel(event) {
    const { picture, shown } = current;
    const at = shown && picture.pixel(picture.toImage(event));
    if (!at) return say(find("pixel-readout"), "");
    const { step, unit, centre } = state.run.detector;
    const value = shown.data[at.y * shown.shape[1] + at.x];
    const parts = [`${at.y}, ${at.x}: ${written(value)} ${unitText(state.run.intensity_unit, value)}`];
    if (centre) {
      const [far, called] = step && unit ? [[(at.y - centre[0]) * step[0], (at.x - centre[1]) * step[1]], unitText(unit)] : [[at.y - centre[0], at.x - centre[1]], "px"];
      parts.push(`${written(Math.hypot(...far))} ${called} from the centre`);
    }
    return say(find("pixel-readout"), parts.join(" · "));
  }

  current.picture.canvas.addEventListener("pointermove", readPixel);
  current.picture.canvas.addEventListener("pointerleave", () => say(find("pixel-readout"), ""));
  state.on("run", () => {
    if (!state.run.pattern_kinds.some(({ id }) => id === kindOfPosition)) kindOfPosition = state.run.pattern_kinds[0]?.id;
  });
  state.on("run subject base revision", () => state.run && refresh());
  state.on("clusters labels", () => {
    if (current.shown && state.subject && state.base) refresh();
  });
  for (const input of document.querySelectorAll("[name=scale]"))
    input.addEventListener("change", paint);
  for (const id of ["brightness", "table", "common"]) find(id).addEventListener("input", paint);
  find("pin").addEventListener("click", () => pin(true));
  find("unpin").addEventListener("click", () => (pin(false), find("pin").focus()));
  find("pattern-png").addEventListener("click", () => download(current.picture.canvas, `${state.run.name}-pattern.png`));
  return { picture: current.picture, pin, shift: () => current.shown?.shift ?? [0, 0] };
}
