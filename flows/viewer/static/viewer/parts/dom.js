// Small helpers for the page itself. Text from files is only ever set as text.

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

/** Put a line above the page that stays until `text` is empty; a button goes with it. */
export function notice(id, text, { kind = "", action, onaction } = {}) {
  const old = find(`notice-${id}`);
  if (!text) return old?.remove();
  const same = old?.firstChild.textContent === text;
  if (same) return undefined;
  const line = make("div", { id: `notice-${id}`, className: `notice ${kind}` }, make("p", {}, text));
  if (action) line.append(make("button", { type: "button", onclick: onaction }, action));
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

/** Whether keys belong to what is typed or chosen in an element. */
export function takesKeys(node) {
  return node.matches("input:not([type=checkbox]), select, textarea, [role=tab], dialog *");
}

/** Hand a picture to the person as a file. */
export function download(canvas, name) {
  canvas.toBlob((blob) => {
    const link = make("a", { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
}
