// The pattern at the right: at the position, of a cluster or of a region, and what it is made of.

import { address, getJson, getKept, isKept, latest } from "./parts/api.js";
import { colourBar, scaleBar } from "./parts/bars.js";
import { paintNumbers, rangeOf, scaleOf, table, unitText, written } from "./parts/colours.js";
import { download, find, make, notice, say, segments } from "./parts/dom.js";
import { Picture } from "./parts/picture.js";

const OF_CLUSTERS = [{ id: "mean", title: "Mean" }, { id: "representative", title: "Factorised" }];
// Of all pixels, what is not brighter than the end of the colours: the direct beam would leave
// nothing for the reflections.
const BRIGHTEST = 0.998;
// Short enough for a row; what the server calls them is shown on hovering.
const SHORT = { raw: "Acquired", filtered: "Analysed", reconstructed: "Fit", residual: "Residual" };
const MOST_SHARES = 8;

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

  show(shown) {
    this.shown = shown;
    this.paint();
  }

  paint() {
    if (!this.shown) return;
    const { data, shape, title, kind } = this.shown;
    const node = this.figure.querySelector(".title");
    node.textContent = node.title = title;
    const dimmer = 2 ** -Number(find("brightness").value);
    const bend = document.querySelector("[name=scale]:checked").value;
    const signed = kind === "residual";
    let scale;
    if (signed) {
      const [low, high] = rangeOf(data, 1 - BRIGHTEST, BRIGHTEST);
      scale = scaleOf(bend, low * dimmer, high * dimmer, { signed });
    } else {
      // Sparse counts have most pixels at zero: the range is that of all but the very brightest.
      const [low, high] = rangeOf(data, 0, BRIGHTEST);
      const positive = data.filter((value) => value > 0);
      const floor = positive.length ? rangeOf(positive, 0.01)[0] / 2 : null;
      const least = Math.min(low, 0);
      scale = scaleOf(bend, least, least + (high - least) * dimmer, { floor });
    }
    const colours = table(signed ? "differences" : find("table").value);
    const place = (value) => Math.min(Math.max(scale.place(value), 0), 1);
    this.picture.show(paintNumbers(data, place, colours), shape);
    if (!signed) scale.ticks.at(-1).text = `≥ ${scale.ticks.at(-1).text}`;
    colourBar(this.figure.querySelector(".colours"), colours, scale.ticks, this.state.run.intensity_unit, "");
  }
}

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
      const { positions } = state.clusters[subject.number - 1] ?? {};
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
    current.show({ data, shape, kind, shift, of: subject, title: titleOf(subject) + count });
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

  const takeApart = latest(async (subject, signal) => {
    const { y, x } = subject;
    const found = await getJson(address("./api/decomposition", { y, x, revision: state.revision }), signal);
    if (subject === state.subject) listShares(found);
  }, (error) => shares().replaceChildren(make("p", { className: "quiet" }, error.message)));
  const shares = () => find("shares");

  function listShares(found) {
    const clusters = state.base.clusters;
    if (!found.measured) return shares().replaceChildren(make("p", { className: "quiet" }, "Not measured here."));
    const sorted = [...found.shares].sort((one, other) => other.share - one.share);
    const used = sorted.filter(({ share }) => share > 0.005).slice(0, MOST_SHARES);
    const most = Math.max(1, ...used.map(({ share, error }) => share + (error || 0)));
    shares().classList.toggle("narrow", clusters.every(({ name }) => !name));
    const rows = used.map(({ cluster, share, error }) => {
      const bar = make("span", { className: "fill", style: { width: `${(100 * share) / most}%`, background: clusters[cluster - 1]?.colour } });
      const track = make("span", { className: "track" }, bar);
      if (error > 0) track.append(make("span", { className: "whisker", style: { left: `${(100 * Math.max(share - error, 0)) / most}%`, width: `${(100 * Math.min(2 * error, share + error)) / most}%` } }));
      const number = `${share.toFixed(2)}${error > 0 ? ` ± ${error < 0.005 ? error.toFixed(3) : error.toFixed(2)}` : ""}`;
      return make("li", {}, make("span", { className: "who", title: state.titleOf(cluster, clusters) }, state.titleOf(cluster, clusters)), track, make("span", { className: "number" }, number));
    });
    const ratio = found.second
      ? `Second over first: ${found.overlap_ratio.toFixed(2)}${found.overlap_ratio_error > 0 ? ` ± ${found.overlap_ratio_error.toFixed(2)}` : ""}`
      : "One pattern alone";
    const rest = found.background_intensity == null ? "" : ` · background ${written(found.background_intensity)} ${unitText(state.run.intensity_unit)}`;
    const before = state.number !== null ? " as decided" : state.steps.length ? " before your changes" : "";
    shares().replaceChildren(
      make("h3", {}, `Shares of clusters${before}`),
      make("ul", {}, ...rows),
      make("p", { className: "quiet" }, ratio + rest),
    );
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
    else current.figure.querySelector(".title").textContent = `${titleOf(subject)} · its mean pattern is there once it is saved`;
    if (subject.of === "position") takeApart(subject);
    else shares().replaceChildren();
  }

  function pin(on) {
    if (on && !current.shown) return;
    find("pinned").hidden = !on;
    find("panes").classList.toggle("two", on);
    pinned.show(on ? { ...current.shown } : null);
    const subject = on && current.shown.of;
    state.set({ pinned: subject?.of === "position" ? subject : null });
  }

  /** Say what is under the pointer: the pixel, its value, and how far from the direct beam it is. */
  function readPixel(event) {
    const { picture, shown } = current;
    const at = shown && picture.pixel(picture.toImage(event));
    if (!at) return say(find("pixel-readout"), "");
    const { step, unit, centre } = state.run.detector;
    const value = shown.data[at.y * shown.shape[1] + at.x];
    const parts = [`${at.y}, ${at.x}: ${written(value)} ${unitText(state.run.intensity_unit)}`];
    if (centre) {
      const [far, called] = step && unit ? [[(at.y - centre[0]) * step[0], (at.x - centre[1]) * step[1]], unitText(unit)] : [[at.y - centre[0], at.x - centre[1]], "px"];
      parts.push(`${written(Math.hypot(...far))} ${called} from the middle`);
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
    input.addEventListener("change", () => [current, pinned].forEach((pane) => pane.paint()));
  for (const id of ["brightness", "table"])
    find(id).addEventListener("input", () => [current, pinned].forEach((pane) => pane.paint()));
  find("pin").addEventListener("click", () => pin(true));
  find("unpin").addEventListener("click", () => (pin(false), find("pin").focus()));
  find("pattern-png").addEventListener("click", () => download(current.picture.canvas, `${state.run.name}-pattern.png`));
  return { picture: current.picture, pin, shift: () => current.shown?.shift ?? [0, 0] };
}
