// Scale bars on pictures, and bars that say what colours mean.

import { make } from "./dom.js";
import { unitText, written } from "./colours.js";

const NEAR_PX = 24;

/** The largest of 1, 2 and 5 times a power of ten up to `most`. */
export function roundLength(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  return [5, 2, 1].find((factor) => factor * power <= most) * power;
}

/**
 * An overlay that draws a scale bar; `calibration()` gives {step, unit} or null: then in pixels.
 * It fades where the pointer is near or where `marked(x0, y0, x1, y1)` says that something is.
 */
export function scaleBar(calibration, pixels, marked = () => false) {
  return (context, picture) => {
    const { step, unit } = calibration() ?? { step: 1, unit: pixels };
    const { clientWidth, clientHeight } = picture.canvas;
    const wide = Math.min(clientWidth, picture.shape[1] * picture.scale);
    const length = roundLength((0.3 * wide * step) / picture.scale);
    const px = (length / step) * picture.scale;
    const text = `${written(length)} ${unitText(unit)}`;
    context.font = "600 13px system-ui, sans-serif";
    const box = Math.max(px, context.measureText(text).width) + 16;
    const [left, top] = [10, clientHeight - 48];
    const { pointer } = picture;
    const near = pointer && pointer.x < left + box + NEAR_PX && pointer.y > top - NEAR_PX;
    if (near || marked(left, top, left + box, top + 38)) context.globalAlpha = 0.25;
    context.fillStyle = "rgba(10, 13, 18, 0.72)";
    context.beginPath();
    context.roundRect(left, top, box, 38, 5);
    context.fill();
    context.fillStyle = "#ffffff";
    context.fillRect(left + 8, top + 28, px, 3);
    context.textBaseline = "alphabetic";
    context.fillText(text, left + 8, top + 20);
  };
}

/** Fill an element with a bar of colours and its values. */
export function colourBar(node, colours, ticks, unit, label) {
  let canvas = node.querySelector("canvas");
  if (!canvas) {
    canvas = make("canvas", { width: 256, height: 1, "aria-hidden": "true" });
    node.replaceChildren(canvas, make("div", { className: "ticks" }), make("p", { className: "unit" }));
  }
  const rgba = new Uint8ClampedArray(4 * 256);
  for (let n = 0; n < 256; n++) rgba.set([...colours.subarray(3 * n, 3 * n + 3), 255], 4 * n);
  canvas.getContext("2d").putImageData(new ImageData(rgba, 256, 1), 0, 0);
  // Of values that would stand on one another the later ones stay, and both ends.
  const apart = ticks.filter(
    ({ at }, n) => n === 0 || n === ticks.length - 1 || (at > 0.17 && at < 0.83),
  );
  const spaced = apart.filter(({ at }, n) => n === 0 || at - apart[n - 1].at > 0.1);
  node.querySelector(".ticks").replaceChildren(
    ...spaced.map(({ at, text }) => {
      const tick = make("span", { style: { left: `${100 * at}%` } }, text);
      if (at < 0.02) tick.className = "first";
      if (at > 0.98) tick.className = "last";
      return tick;
    }),
  );
  node.querySelector(".unit").textContent = [label, unitText(unit)].filter(Boolean).join(", ");
}
