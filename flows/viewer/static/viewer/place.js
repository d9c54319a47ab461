// What is looked at stands in the address of the page: it survives a reload, and can be passed on.

const PAUSE_MS = 250;

/** What the address asks for: {revision, layer, tab, position}; what it does not name is null. */
export function placeAsked() {
  const asked = new URLSearchParams(location.search);
  const [y, x] = ["row", "column"].map((name) => (/^\d{1,9}$/.test(asked.get(name) ?? "") ? Number(asked.get(name)) : null));
  const position = y === null || x === null ? null : { y, x };
  return { revision: asked.get("revision"), layer: asked.get("map"), tab: asked.get("tab"), position };
}

/** Write what is shown into the address; a position only where it is fixed. */
export function keepPlace(state) {
  let timer = null;
  const write = () => {
    timer = null;
    const kept = new URLSearchParams();
    if (state.revision) kept.set("revision", state.revision);
    if (state.layer !== "clusters" && state.run.layers.some(({ id }) => id === state.layer)) kept.set("map", state.layer);
    if (state.tab !== "clusters") kept.set("tab", state.tab);
    if (state.fixed && state.position) {
      kept.set("row", state.position.y);
      kept.set("column", state.position.x);
    }
    const wanted = kept.size ? `?${kept}` : location.pathname;
    if ((location.search || location.pathname) !== wanted) history.replaceState(null, "", wanted);
  };
  // Browsers refuse an address that changes with every step of a held key.
  state.on("revision layer tab position fixed", () => state.base && (timer ??= setTimeout(write, PAUSE_MS)));
}
