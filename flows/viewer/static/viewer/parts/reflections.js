// Simulated reflections over a pattern, as the report draws them.

const MARKED = "#38d6ff";
const MOST_INDICES = 10;
// Of the sides of the canvas, what a written index keeps free around it.
const ROOM = [0.25, 0.09];
const TEXT_PX = 11;
const RADIUS_PX = [4, 9];

/** Circle the reflections, the larger the brighter, and write the indices of the brightest. */
export function drawReflections(context, picture, reflections, [down, right]) {
  if (!reflections.length) return;
  const { clientWidth, clientHeight } = picture.canvas;
  const places = reflections.map(({ y, x }) => picture.toScreen(y - down, x - right));
  context.lineWidth = 1.25;
  for (const [n, [x, y]] of places.entries()) {
    const radius = RADIUS_PX[0] + (RADIUS_PX[1] - RADIUS_PX[0]) * Math.sqrt(reflections[n].amplitude);
    context.strokeStyle = MARKED;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.stroke();
  }
  Object.assign(context, { font: `600 ${TEXT_PX}px system-ui, sans-serif`, textAlign: "center", textBaseline: "bottom" });
  Object.assign(context, { lineWidth: 3, lineJoin: "round", strokeStyle: "rgba(0, 0, 0, 0.8)", fillStyle: "#ffffff" });
  const written = [];
  for (const [n, [x, y]] of places.entries()) {
    const [u, v] = [x / clientWidth, y / clientHeight];
    const near = written.some(([a, b]) => Math.abs(u - a) < ROOM[0] && Math.abs(v - b) < ROOM[1]);
    if (near || u < 0.06 || u > 0.94 || v < 0.07 || v > 0.99) continue;
    const { indices } = reflections[n];
    context.strokeText(indices, x, y - RADIUS_PX[1]);
    context.fillText(indices, x, y - RADIUS_PX[1]);
    written.push([u, v]);
    if (written.length === MOST_INDICES) return;
  }
}
