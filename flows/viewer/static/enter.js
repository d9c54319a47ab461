// Asks for the token, or sends on whoever was let in; the address with the code is replaced.
const form = document.getElementById("form");
const said = document.getElementById("said");
const token = document.getElementById("token");

async function known() {
  const answer = await fetch("/enter/known", { cache: "no-store" });
  return (await answer.json()).known;
}

function goOn() {
  // An address with a fragment is not loaded again by going to it.
  if (location.pathname === "/enter") location.replace("/");
  else location.reload();
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  said.textContent = "";
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const answer = await fetch("/enter", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token: token.value }),
    });
    if (answer.status === 204) {
      goOn();
      return;
    }
    said.textContent =
      answer.status === 429
        ? "Too many tries at a time: wait a few seconds."
        : "This is not the token of this viewer.";
    // What is pasted next takes its place.
    token.value = "";
    token.focus();
  } catch {
    said.textContent = "The viewer does not answer: it may have been ended.";
  } finally {
    button.disabled = false;
  }
});

if (document.body.dataset.state === "entered") {
  location.replace("/");
} else if (await known().catch(() => false)) {
  // A link from a mail or another site: the browser keeps the cookie back only for this one step.
  goOn();
}
