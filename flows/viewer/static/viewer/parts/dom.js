// Small helpers for the page itself. Text from files is only ever set as text.

const BUSY_MS = 200;

export const find = (id) => document.getElementById(id);

/** Make an element: properties are set, `on…` are listeners, others with a dash are attributes. */
export function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(node.style, value);
    else if (name.includes("-") || name === "role" || name === "for") node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children);
  return node;
}

/** Show a text in an element, or hide the element where there is none. */
export function say(node, text) {
  node.textContent = text ?? "";
  node.hidden = !text;
}

/** Say that something is being worked out, unless it is done in no time; wait for it. */
export async function whileBusy(node, text, promise) {
  const timer = setTimeout(() => say(node, text), BUSY_MS);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    say(node, "");
  }
}

// What a person has closed does not come again before there is something else to say.
const closed = new Map();

/** Lay a message over the page until `text` is empty or it is closed; a button may go with it. */
export function notice(id, text, { kind = "", action, onaction, onclose } = {}) {
  const old = find(`notice-${id}`);
  if (!text) {
    closed.delete(id);
    return old?.remove();
  }
  const same = old?.firstChild.textContent === text;
  if (same || closed.get(id) === text) return undefined;
  const line = make("div", { id: `notice-${id}`, className: `notice ${kind}` }, make("p", {}, text));
  if (action) line.append(make("button", { type: "button", onclick: onaction }, action));
  const close = () => {
    closed.set(id, text);
    line.remove();
    onclose?.();
  };
  line.append(make("button", { type: "button", className: "plain close", "aria-label": "Close", title: "Close", onclick: close }, "✕"));
  if (old) old.replaceWith(line);
  else find("notices").append(line);
  return undefined;
}

/** Radio buttons that look like one row; calls back with the value that was chosen. */
export function segments(fieldset, choices, chosen, onchoose) {
  const name = fieldset.id;
  const now = [...fieldset.querySelectorAll("input")].map((input) => input.value);
  if (now.join() !== choices.map((choice) => choice.id).join()) {
    fieldset.querySelectorAll("label").forEach((label) => label.remove());
    for (const { id, title, hint = "" } of choices) {
      const input = make("input", { type: "radio", name, value: id });
      input.addEventListener("change", () => onchoose(id));
      fieldset.append(make("label", { title: hint }, input, make("span", {}, title)));
    }
  }
  for (const input of fieldset.querySelectorAll("input")) input.checked = input.value === chosen;
}

/** Whether a key belongs to what is typed or chosen in an element. */
export function takesKey(node, key) {
  if (node.matches("[type=radio], [type=range], [role=tab]")) return key.startsWith("Arrow");
  return node.matches("input:not([type=checkbox]), select, textarea, dialog *");
}

/** Hand a picture to the person as a file. */
export function download(canvas, name) {
  canvas.toBlob((blob) => {
    const link = make("a", { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
}
