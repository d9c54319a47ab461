// The table of all runs: sorts and filters what ./api/runs gives, and looks again every few seconds.
// Text from files is only ever set as text.
const AGAIN_MS = 4000;
const ROWS_AT_ONCE = 200;
const SURE = ["low", "moderate", "high"];
const STATES = ["running", "queued", "arriving", "failed", "quarantined", "damaged", "interrupted", "incomplete", "done"];
const LOOKS = {
  done: "good", running: "busy", queued: "quiet", arriving: "quiet", failed: "bad", quarantined: "bad",
  damaged: "bad", interrupted: "fair", incomplete: "fair", high: "good", moderate: "fair", low: "bad",
};
// What each column is called, what it is sorted by, and whether the largest comes first at first.
const COLUMNS = [
  { id: "picture", title: "Map" },
  { id: "name", title: "Run", key: (run) => run.name },
  { id: "number", title: "Patterns", key: (run) => run.number, falling: true },
  { id: "sure", title: "Confidence", key: (run) => (run.confidence ? SURE.indexOf(run.confidence) : null) },
  { id: "flags", title: "Flags", key: (run) => run.flags.length || null, falling: true },
  { id: "state", title: "State", key: (run) => STATES.indexOf(run.state) },
  { id: "time", title: "Started", key: (run) => run.started || null, falling: true },
  { id: "lasted", title: "Took", key: (run) => run.seconds, falling: true },
];

const at = (id) => document.getElementById(id);
let runs = [];
let tag = "";
let limit = ROWS_AT_ONCE;
let sorting = { id: "time", falling: true };
const byName = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

function make(kind, className, text) {
  const made = document.createElement(kind);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function compare(one, other) {
  const { key } = COLUMNS.find((column) => column.id === sorting.id);
  const [a, b] = [key(one), key(other)];
  // What is not known comes last, whichever way it is sorted.
  if (a === null || b === null) return (a === null) - (b === null);
  const order = typeof a === "string" ? byName.compare(a, b) : a - b;
  return (sorting.falling ? -order : order) || byName.compare(one.name, other.name);
}

function shown() {
  const asked = at("text").value.toLowerCase().split(/\s+/).filter(Boolean).join(" ");
  const [confidence, state] = [at("confidence").value, at("state").value];
  return runs
    .filter((run) => {
      const told = [run.name, run.state, run.reason, run.headline, ...run.flags].join(" ").toLowerCase();
      return (
        (!confidence || run.confidence === confidence) &&
        (!state || run.state === state) &&
        told.includes(asked)
      );
    })
    .sort(compare);
}

function moment(text) {
  if (!text) return "";
  const time = new Date(text);
  return time.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

function duration(seconds) {
  if (seconds === null) return "";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

function mark(word) {
  return make("span", `mark ${LOOKS[word] ?? "quiet"}`, word);
}

function cell(id, label, content) {
  const made = make("td", id);
  if (label) made.dataset.label = label;
  if (content === "" || content === null) made.classList.add("blank");
  else made.append(content);
  return made;
}

/** What the reason does not say: how long something lasts, and where options of a watched file go. */
function hint({ state, reason }) {
  if (state === "arriving") return "It is analysed once it is complete and no longer changes; what stays incomplete for an hour (orimap watch --patience) is quarantined.";
  const options = state === "quarantined" && /--[a-z]/.test(reason) && !reason.includes("orimap.yaml");
  return options ? "Options of a watched file go into a file beside it, NAME.orimap.yaml, as lines such as scan-shape: 256x256." : "";
}

function row(run) {
  const made = make("tr");
  const picture = make("td", "picture");
  if (run.thumbnail) {
    const image = make("img");
    image.loading = "lazy";
    image.alt = "";
    image.src = run.thumbnail;
    picture.append(image);
  } else {
    picture.append(make("span"));
  }
  const name = make("th", "name");
  name.scope = "row";
  if (run.page) {
    const link = make("a", "", run.name);
    link.href = run.page;
    name.append(link);
  } else {
    name.append(make("span", "", run.name));
  }
  const words = run.reason || (run.number === null ? run.headline : "");
  // The state stands in a column of its own.
  if (words && words.toLowerCase() !== run.state) name.append(make("p", "reason", words));
  const more = hint(run);
  if (more) name.append(make("p", "reason", more));
  const flags = run.flags.length ? make("span") : "";
  for (const flag of run.flags) flags.append(make("span", "flag", flag));
  const time = run.started ? make("time", "", moment(run.started)) : "";
  if (time) time.dateTime = run.started;
  made.append(
    picture,
    name,
    cell("number", "Patterns", run.number === null ? "" : String(run.number)),
    cell("sure", "Confidence", run.confidence ? mark(run.confidence) : ""),
    cell("flags", "", flags),
    cell("state", "", mark(run.state)),
    cell("time", "", time),
    cell("lasted", "took", duration(run.seconds)),
  );
  return made;
}

// A row that has not changed stays the same element: nothing flickers, and the focus stays.
const made = new Map();

function draw() {
  const chosen = shown();
  const rows = at("rows");
  const wanted = chosen.slice(0, limit).map((run) => {
    const text = JSON.stringify(run);
    const key = run.path || `\0${run.name}`;
    const known = made.get(key);
    if (known && known.text === text) return known.element;
    const element = row(run);
    made.set(key, { text, element });
    return element;
  });
  if (!wanted.length) {
    const none = make("td", "none", runs.length ? "No run matches these filters." : "No runs yet: they appear here as soon as they begin.");
    none.colSpan = COLUMNS.length;
    const alone = make("tr", "alone");
    alone.append(none);
    wanted.push(alone);
  }
  if (wanted.length !== rows.children.length || wanted.some((each, n) => rows.children[n] !== each)) {
    const focused = document.activeElement;
    rows.replaceChildren(...wanted);
    if (focused && focused !== document.activeElement && rows.contains(focused)) focused.focus({ preventScroll: true });
  }
  const flagged = runs.some((run) => run.flags.length);
  at("runs").classList.toggle("unflagged", !flagged);
  at("more").hidden = chosen.length <= limit;
  const all = runs.length === 1 ? "1 run" : `${runs.length} runs`;
  const count = chosen.length === runs.length ? all : `${chosen.length} of ${all}`;
  if (at("count").textContent !== count) at("count").textContent = count;
  for (const head of at("heads").children) {
    if (!head.dataset.id) continue;
    const way = sorting.falling ? "descending" : "ascending";
    head.setAttribute("aria-sort", head.dataset.id === sorting.id ? way : "none");
  }
  at("order").value = sorting.id;
  const asked = new URLSearchParams();
  for (const id of ["text", "confidence", "state"]) if (at(id).value) asked.set(id, at(id).value);
  at("csv").href = `./api/runs.csv${asked.size ? `?${asked}` : ""}`;
  keepInAddress(asked);
}

// The filters stay when the page is loaded again, or its address is passed on.
function keepInAddress(asked) {
  const kept = new URLSearchParams(asked);
  if (sorting.id !== "time" || !sorting.falling) kept.set("sort", `${sorting.falling ? "-" : ""}${sorting.id}`);
  const wanted = kept.size ? `?${kept}` : location.pathname;
  if ((location.search || location.pathname) !== wanted) history.replaceState(null, "", wanted);
}

function sortBy(id) {
  const column = COLUMNS.find((each) => each.id === id);
  sorting = { id, falling: sorting.id === id ? !sorting.falling : Boolean(column.falling) };
  draw();
}

function prepare() {
  for (const column of COLUMNS) {
    const head = make("th", ["number", "flags"].includes(column.id) ? column.id : "");
    head.scope = "col";
    if (column.key) {
      head.dataset.id = column.id;
      const button = make("button", "", column.title);
      button.type = "button";
      button.addEventListener("click", () => sortBy(column.id));
      head.append(button);
      at("order").append(new Option(column.title, column.id));
    } else {
      head.append(make("div", "plain", column.title));
    }
    at("heads").append(head);
  }
  for (const state of STATES) at("state").append(new Option(state, state));
  const asked = new URLSearchParams(location.search);
  for (const id of ["text", "confidence", "state"]) if (asked.has(id)) at(id).value = asked.get(id);
  const sort = asked.get("sort") ?? "";
  const id = sort.replace(/^-/, "");
  if (COLUMNS.some((column) => column.id === id && column.key)) sorting = { id, falling: sort.startsWith("-") };
  at("order").addEventListener("change", () => sortBy(at("order").value));
  at("filters").addEventListener("submit", (event) => event.preventDefault());
  at("filters").addEventListener("input", (event) => {
    if (event.target.id === "order") return;
    limit = ROWS_AT_ONCE;
    draw();
  });
  at("show-more").addEventListener("click", () => {
    limit += ROWS_AT_ONCE;
    draw();
  });
}

function tell(words) {
  const told = at("told");
  told.hidden = !words;
  if (told.textContent !== words) told.textContent = words;
}

async function look() {
  try {
    const answer = await fetch("./api/runs", { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store" });
    if (answer.status === 304) {
      if (at("told").dataset.lost) tell("");
    } else if (answer.ok) {
      tag = answer.headers.get("ETag") ?? "";
      const found = await answer.json();
      runs = found.runs;
      at("root").textContent = found.root;
      tell(found.told);
      draw();
    } else {
      const said = await answer.json().catch(() => ({ found: `answer ${answer.status}`, remedy: "load the page again" }));
      throw new Error(`${said.found}; ${said.remedy}`);
    }
    delete at("told").dataset.lost;
  } catch (error) {
    at("told").dataset.lost = "yes";
    const lost = error instanceof TypeError;
    tell(lost ? "The viewer does not answer: what is shown may be old." : String(error.message));
    tag = "";
  }
}

async function keepLooking() {
  if (document.visibilityState === "visible") await look();
  setTimeout(keepLooking, AGAIN_MS);
}

prepare();
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && look());
keepLooking();
