// What the page shows at the moment. Parts of the page listen to what concerns them.
//
//   run         what ./api/run says
//   revision    name of the revision that is shown, null for the automatic result
//   base        {clusters, labels} as they are stored for it
//   steps       changes of clusters that are not saved
//   saving      revision that is being written: {name, title, done, total}, or null
//   number      another number of patterns that is looked at, or null
//   clusters    those on the map now: [{number, name, colour, positions}]
//   labels      {data, shape} of the map now: cluster from 1 on, 0 none, -1 not measured
//   layer       id of what the map shows
//   position    {y, x} of the pattern, or null; fixed: it does not follow the pointer
//   lit         set of numbers of clusters that are lit up
//   subject     what the pattern is of: {of: "position", y, x}, {of: "cluster", number},
//               {of: "region", y0, x0, y1, x1}
//   pinned      position whose pattern is pinned, or null
//   tab         what is worked on: clusters, detector, line or numbers
//   tool        what dragging on the map does: point, line or region
//   line, region   what was drawn on the map, or null
//   drawn       virtual image of the detector: {values, shape, said, exact, of}, or null
//   boundary    a boundary that is pointed at: Uint8Array of positions, or null

/** The cluster of a number, or nothing: other numbers of patterns keep those of the decided clusters. */
export const numbered = (clusters, number) => clusters.find((cluster) => cluster.number === number);

export class State {
  constructor() {
    this.listeners = [];
    Object.assign(this, { run: null, revision: null, base: null, steps: [], number: null });
    Object.assign(this, { clusters: [], labels: null, layer: "clusters", position: null });
    Object.assign(this, { fixed: false, lit: new Set(), subject: null, tool: "point" });
    Object.assign(this, { tab: "clusters", saving: null });
    Object.assign(this, { line: null, region: null, drawn: null, boundary: null, pinned: null });
  }

  /** Call a listener, once, when any of these changes: "position fixed". */
  on(names, listener) {
    this.listeners.push([new Set(names.split(" ")), listener]);
  }

  set(changes) {
    const changed = Object.keys(changes).filter((name) => this[name] !== changes[name]);
    Object.assign(this, changes);
    for (const [names, listener] of this.listeners)
      if (changed.some((name) => names.has(name))) listener(this);
  }

  /** The number and the name of a cluster: "2 matrix". */
  titleOf(number, clusters = this.clusters) {
    const name = numbered(clusters, number)?.name;
    return name ? `${number} ${name}` : `${number}`;
  }

  /** Whether the map is not that of what is stored. */
  get previewed() {
    return this.number !== null || this.steps.length > 0;
  }

  /** Whether positions may belong to other clusters than in what is stored: not by names and colours. */
  get regrouped() {
    return this.number !== null || this.steps.some(({ rename, colour, ...regrouping }) => Object.keys(regrouping).length);
  }

  /** The label on the map now at a position. */
  labelAt({ y, x }) {
    return this.labels ? this.labels.data[y * this.labels.shape[1] + x] : 0;
  }

  /** The stored cluster that has the very positions of one on the map, or null. */
  storedNumber(number) {
    if (!this.previewed) return number;
    const { data } = this.labels;
    const stored = this.base.labels.data;
    const first = data.indexOf(number);
    const other = first < 0 ? 0 : stored[first];
    if (other < 1) return null;
    return data.every((label, n) => (label === number) === (stored[n] === other)) ? other : null;
  }
}
