// Revisions: saved while one looks on, replaced and deleted after a question.

import { Refused, getJson, post } from "../parts/api.js";
import { find, make, notice, say } from "../parts/dom.js";
import { openRevision, reopen, titleOf } from "./answer.js";

const LOOK_AGAIN_MS = 700;
const SAID_MS = 15_000;

export function startSave(state) {
  // What this page has asked for: its steps stay until the revision is there.
  let mine = null;

  async function save(replace) {
    const name = find("save-name").value.trim();
    if (!name) return;
    clear();
    state.set({ saving: { name: "", title: name, done: 0, total: 0 } });
    try {
      const asked = { title: name, source: state.revision, steps: state.steps, replace };
      const made = await post("./api/revisions", asked);
      mine = made.name;
      state.set({ saving: { name: made.name, title: name, done: 0, total: 0 } });
      await follow();
    } catch (error) {
      state.set({ saving: null });
      if (error.replaceable) offerToReplace(name);
      else say(find("edit-message"), error.message);
      find("save-name").focus();
    }
  }

  function clear() {
    say(find("edit-message"), "");
    find("replace").hidden = true;
  }

  function offerToReplace(name) {
    say(find("edit-message"), `There is a revision “${name}” already. Replace it, or choose another name.`);
    find("replace").hidden = false;
  }

  /** Look until nothing is being saved any more; also what was asked for before a reload. */
  async function follow() {
    for (;;) {
      const run = await getJson("./api/run").catch(() => null);
      const [going] = run?.saving ?? [];
      const wanted = going?.name ?? state.saving?.name;
      if (going) state.set({ saving: going });
      else if (run?.failed?.name === wanted) return failed(run.failed);
      else if (run?.revisions.some(({ name }) => name === wanted)) return saved(run, wanted);
      else if (run) return state.set({ saving: null });
      await new Promise((done) => setTimeout(done, LOOK_AGAIN_MS));
    }
  }

  function failed(revision) {
    state.set({ saving: null });
    say(find("edit-message"), `“${titleOf(revision)}” was not saved. ${new Refused(0, revision).message}`);
  }

  async function saved(run, name) {
    const title = titleOf(run.revisions.find((revision) => revision.name === name));
    const own = name === mine;
    state.set({ saving: null });
    mine = null;
    if (own) find("save-name").value = "";
    // After a reload somebody may be looking at something else.
    if (own || !state.steps.length) await reopen(state, own ? name : state.revision);
    const text = `Saved as revision “${title}”. The automatic result is unchanged.`;
    const show = { action: "Show it", onaction: () => (notice("saved", ""), openRevision(state, name)) };
    notice("saved", text, { kind: "calm", ...(own ? {} : show) });
    if (own) setTimeout(() => notice("saved", ""), SAID_MS);
  }

  function progress() {
    const { saving } = state;
    find("saving").hidden = !saving;
    if (!saving) return;
    find("saving-said").textContent = `Saving “${titleOf(saving)}” …`;
    const bar = find("saving-bar");
    if (saving.total) Object.assign(bar, { max: saving.total, value: saving.done });
    else bar.removeAttribute("value");
  }

  function buttons() {
    const { run, steps, revision, saving } = state;
    find("save").hidden = !steps.length || !run.writable || Boolean(saving);
    if (find("save").hidden) find("replace").hidden = true;
    const shown = run.revisions.find(({ name }) => name === revision);
    find("remove").hidden = !shown || !run.writable || Boolean(saving);
    if (shown) find("remove").title = `Delete the revision “${titleOf(shown)}”`;
    if (shown && !find("save-name").value) find("save-name").value = titleOf(shown);
    find("edits").replaceChildren(...(shown ? shown.edits.map((text) => make("li", {}, text)) : []));
    find("edited").hidden = !shown;
  }

  async function remove() {
    const shown = state.run.revisions.find(({ name }) => name === state.revision);
    const unsaved = state.steps.length ? " Unsaved changes are discarded, too." : "";
    if (!confirm(`Delete the revision “${titleOf(shown)}” for good?${unsaved}`)) return;
    try {
      await post(`./api/revisions/${encodeURIComponent(shown.name)}/delete`, {});
      find("save-name").value = "";
      await reopen(state, null);
      notice("saved", `The revision “${titleOf(shown)}” was deleted.`, { kind: "calm" });
    } catch (error) {
      say(find("edit-message"), error.message);
    }
  }

  find("save").addEventListener("submit", (event) => (event.preventDefault(), save(false)));
  find("replace").addEventListener("click", () => save(true));
  find("save-name").addEventListener("input", clear);
  find("remove").addEventListener("click", remove);
  window.addEventListener("beforeunload", (event) => state.steps.length && !state.saving && event.preventDefault());
  state.on("saving", progress);
  state.on("run steps revision saving", () => state.run && buttons());
  state.on("run", () => {
    const [going] = state.run?.saving ?? [];
    if (!going || state.saving) return;
    state.set({ saving: going });
    follow();
  });
}
