// One image on a canvas: it fits the canvas, can be enlarged and moved, and has things drawn on it.

const MOST_TIMES = 32;
const STILL_PX = 4;

export class Picture {
  /**
   * `overlays` are functions that draw on top, given the context (in CSS pixels) and the picture.
   */
  constructor(canvas, overlays = []) {
    this.canvas = canvas;
    this.overlays = overlays;
    this.times = 1;
    this.middle = [0, 0];
    this.source = document.createElement("canvas");
    this.shape = null;
    this.pointer = null;
    new ResizeObserver(() => this.fit()).observe(canvas);
    matchMedia("(resolution: 1dppx)").addEventListener?.("change", () => this.fit());
  }

  /** Take colours, RGBA of an array of this shape. */
  show(rgba, shape) {
    const [rows, columns] = shape;
    if (!this.shape || this.shape[0] !== rows || this.shape[1] !== columns) {
      this.shape = [rows, columns];
      Object.assign(this.source, { width: columns, height: rows });
      this.times = 1;
      this.middle = [(rows - 1) / 2, (columns - 1) / 2];
    }
    this.source.getContext("2d").putImageData(new ImageData(rgba, columns, rows), 0, 0);
    this.draw();
  }

  /** Follow the size of the canvas on the page. */
  fit() {
    const { clientWidth, clientHeight } = this.canvas;
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(clientWidth * ratio);
    this.canvas.height = Math.round(clientHeight * ratio);
    this.paint();
  }

  /** CSS pixels for one pixel of the image. */
  get scale() {
    const { clientWidth, clientHeight } = this.canvas;
    return Math.min(clientWidth / this.shape[1], clientHeight / this.shape[0]) * this.times;
  }

  /** Where a place of the image is on the canvas: [x, y] in CSS pixels. Middles are whole. */
  toScreen(y, x) {
    const { clientWidth, clientHeight } = this.canvas;
    const [v, u] = this.middle;
    return [clientWidth / 2 + (x - u) * this.scale, clientHeight / 2 + (y - v) * this.scale];
  }

  /** The place of the image under a pointer: {y, x}, not whole, perhaps outside. */
  toImage(event) {
    const box = this.canvas.getBoundingClientRect();
    const [v, u] = this.middle;
    return {
      y: v + (event.clientY - box.top - box.height / 2) / this.scale,
      x: u + (event.clientX - box.left - box.width / 2) / this.scale,
    };
  }

  /** The pixel at a place, or null outside; `near` takes the next one inside. */
  pixel({ y, x }, near = false) {
    const [rows, columns] = this.shape;
    const at = { y: Math.round(y), x: Math.round(x) };
    const inside = at.y >= 0 && at.x >= 0 && at.y < rows && at.x < columns;
    if (!inside && !near) return null;
    const clip = (value, count) => Math.min(Math.max(value, 0), count - 1);
    return { y: clip(at.y, rows), x: clip(at.x, columns) };
  }

  /** Enlarge by a factor; the place stays where it is on the canvas. */
  enlarge(factor, about = { y: this.middle[0], x: this.middle[1] }) {
    const before = this.times;
    this.times = Math.min(Math.max(before * factor, 1), MOST_TIMES);
    const moved = 1 - before / this.times;
    this.middle = [
      this.middle[0] + (about.y - this.middle[0]) * moved,
      this.middle[1] + (about.x - this.middle[1]) * moved,
    ];
    this.keepInside();
  }

  /** Bring a place into view where it is not. */
  reveal({ y, x }) {
    if (this.times === 1) return;
    const { clientWidth, clientHeight } = this.canvas;
    const half = [clientHeight / this.scale / 2, clientWidth / this.scale / 2];
    this.middle = [y, x].map((place, n) =>
      Math.abs(place - this.middle[n]) > half[n] - 1 ? place : this.middle[n],
    );
    this.keepInside();
  }

  keepInside() {
    const sides = [this.canvas.clientHeight, this.canvas.clientWidth];
    this.middle = this.middle.map((place, n) => {
      const half = Math.min(sides[n] / this.scale, this.shape[n]) / 2;
      return Math.min(Math.max(place, half - 0.5), this.shape[n] - half - 0.5);
    });
    this.canvas.classList.toggle("enlarged", this.times > 1);
    this.draw();
  }

  /** Where the pointer is on the canvas, in CSS pixels: overlays make way for it. */
  pointTo(event) {
    const box = event && this.canvas.getBoundingClientRect();
    this.pointer = event && { x: event.clientX - box.left, y: event.clientY - box.top };
    this.draw();
  }

  /** Draw before the next frame. */
  draw() {
    this.pending ??= requestAnimationFrame(() => this.paint());
  }

  paint() {
    cancelAnimationFrame(this.pending);
    this.pending = null;
    if (!this.shape || !this.canvas.clientWidth) return;
    const context = this.canvas.getContext("2d");
    const ratio = this.canvas.width / this.canvas.clientWidth;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.canvas.clientWidth, this.canvas.clientHeight);
    const [left, top] = this.toScreen(-0.5, -0.5);
    const [rows, columns] = this.shape;
    // Pixels stay squares with sharp edges; only what is made smaller is averaged.
    context.imageSmoothingEnabled = this.scale * ratio < 1;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.source, left, top, columns * this.scale, rows * this.scale);
    for (const overlay of this.overlays) {
      context.save();
      overlay(context, this);
      context.restore();
    }
  }

  /**
   * Listen to the pointer. Handlers, all optional, are given places of the image: `hover(place)`,
   * `leave()`, `click(place)`, `free(place)` on a double click, `grab(place)`, which returns a
   * drag {move(place), end(place)} or nothing: then an enlarged picture is moved.
   */
  listen({ hover, leave, click, free, grab }) {
    let drag = null;
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !this.shape) return;
      const start = this.toImage(event);
      drag = { start, x: event.clientX, y: event.clientY, moved: false, of: grab?.(start, event) };
      drag.middle = [...this.middle];
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.shape) return;
      this.pointTo(event);
      const place = this.toImage(event);
      if (!drag) return void hover?.(place, event);
      const away = [event.clientY - drag.y, event.clientX - drag.x];
      drag.moved ||= Math.hypot(...away) > STILL_PX;
      if (!drag.moved) return;
      if (drag.of) drag.of.move(place);
      else if (this.times > 1) {
        this.middle = drag.middle.map((value, n) => value - away[n] / this.scale);
        this.keepInside();
      }
    });
    canvas.addEventListener("pointerup", (event) => {
      const ended = drag;
      drag = null;
      if (!ended) return;
      if (ended.moved) ended.of?.end?.(this.toImage(event));
      else {
        ended.of?.still?.(ended.start);
        click?.(ended.start, event);
      }
    });
    canvas.addEventListener("pointercancel", () => (drag = null));
    canvas.addEventListener("pointerleave", () => {
      this.pointTo(null);
      if (!drag) leave?.();
    });
    canvas.addEventListener("dblclick", (event) => this.shape && free?.(this.toImage(event)));
    canvas.addEventListener(
      "wheel",
      (event) => {
        if (!this.shape || !(event.ctrlKey || event.metaKey)) return;
        event.preventDefault();
        this.enlarge(event.deltaY < 0 ? 1.25 : 0.8, this.toImage(event));
      },
      { passive: false },
    );
  }
}
