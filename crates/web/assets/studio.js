// What moves: live states, logs, rows, previews. Every page works without this.

const on = (root, selector, event, act) => {
  for (const found of root.querySelectorAll(selector)) found.addEventListener(event, act(found));
};

// Buttons that do nothing without a script are hidden until there is one.
const reveal = root => { for (const button of root.querySelectorAll("[data-show], [data-add], [data-follow], [data-copy]")) button.hidden = false; };

// Show what is typed.
document.addEventListener("click", event => {
  const button = event.target.closest("[data-show]");
  if (!button) return;
  const field = button.closest("[data-row], .field").querySelector(".masked");
  const shown = field.classList.toggle("shown");
  button.setAttribute("aria-pressed", shown);
  button.textContent = shown ? "Hide" : "Show";
});

// A text field as high as what is in it.
const fit = area => { if (area.matches("textarea[rows='1']")) { area.style.height = "auto"; area.style.height = `${area.scrollHeight + 2}px`; } };
document.addEventListener("input", event => { if (event.target.matches?.("textarea")) fit(event.target); });

// More rows.
on(document, "[data-add]", "click", button => () => {
  const rows = button.parentElement.querySelector("[data-rows]");
  const blank = rows.lastElementChild.cloneNode(true);
  const number = rows.children.length + 1;
  for (const field of blank.querySelectorAll("input:not([type=hidden]), textarea")) {
    const label = blank.querySelector(`label[for="${field.id}"]`);
    field.id = field.id.replace(/\d+$/, number);
    if (label) label.htmlFor = field.id;
    field.value = "";
    field.removeAttribute("aria-invalid");
  }
  blank.querySelector(".wrong")?.remove();
  rows.append(blank);
  blank.querySelector("input:not([type=hidden])").focus();
});

// A file that is dropped is read here and goes nowhere but into the field.
on(document, "[data-drop]", "dragover", area => event => { event.preventDefault(); area.classList.add("over"); });
on(document, "[data-drop]", "dragleave", area => () => area.classList.remove("over"));
on(document, "[data-drop]", "drop", area => async event => {
  area.classList.remove("over");
  const file = event.dataTransfer?.files[0];
  if (!file) return;
  event.preventDefault();
  const field = area.querySelector("textarea");
  field.value = await file.text();
  fit(field);
  field.dispatchEvent(new Event("input", { bubbles: true }));
});

on(document, "[data-confirm]", "click", button => event => { if (!confirm(button.dataset.confirm)) event.preventDefault(); });

on(document, "[data-copy]", "click", button => async () => {
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  button.textContent = "Copied";
});

// Who leaves a form with something typed is asked.
on(document, "[data-editor]", "input", form => () => { form.dataset.changed = "yes"; });
on(document, "[data-editor]", "submit", form => () => { delete form.dataset.changed; });
addEventListener("beforeunload", event => { if (document.querySelector("[data-changed]")) event.preventDefault(); });

// Parts of the editor that follow what is typed: the server makes them, as when the page is sent. (Buttons of the form are
// named `action`, which hides its own property of that name.)
on(document, "[data-live]", "input", form => {
  let timer, asked = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const mine = ++asked;
      const body = new URLSearchParams(new FormData(form));
      body.set("action", "refresh");
      try {
        const reply = await fetch(form.getAttribute("action") ?? location.pathname, { method: "POST", body });
        if (!reply.ok || mine !== asked) return;
        const page = new DOMParser().parseFromString(await reply.text(), "text/html");
        for (const part of form.querySelectorAll("[data-part]")) {
          const fresh = page.getElementById(part.id);
          if (fresh && fresh.innerHTML !== part.innerHTML) part.replaceChildren(...fresh.childNodes);
        }
      } catch { /* The server is away for a moment; the next key asks again. */ }
    }, 400);
  };
});

// A session as it goes on.
const state = document.querySelector("[data-events]");
if (state) {
  const said = document.getElementById("live-said");
  const source = new EventSource(state.dataset.events);
  source.addEventListener("state", event => {
    const at = document.activeElement?.closest("#state") && document.activeElement.textContent;
    state.innerHTML = event.data;
    if (at) [...state.querySelectorAll("a, button")].find(found => found.textContent === at)?.focus();
  });
  source.addEventListener("open", () => { said.textContent = ""; });
  source.addEventListener("error", () => {
    said.textContent = "The server cannot be reached. This page goes on by itself when it is back.";
    if (source.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 3000);
  });
}

// A log as it grows.
const log = document.getElementById("log");
if (log) {
  log.scrollTop = log.scrollHeight;
  const button = document.querySelector("[data-follow]");
  const said = document.getElementById("log-said");
  let leaving;
  // Orders to terminals, as the server leaves them out too.
  const plain = text => text.replace(/\u001b\[[^@-~]*[@-~]/g, "").replace(/[^\P{Cc}\n\t]/gu, "");
  const follow = async () => {
    leaving = new AbortController();
    try {
      const reply = await fetch(`${log.dataset.log}?tail=1000&follow=true`, { signal: leaving.signal });
      if (!reply.ok) throw new Error(reply.status);
      const query = document.getElementById("q").value.toLowerCase();
      const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
      log.textContent = "";
      for (let rest = "";;) {
        const { done, value } = await reader.read();
        if (done) break;
        const lines = (rest + plain(value)).split("\n");
        rest = lines.pop();
        const shown = query ? lines.filter(line => line.toLowerCase().includes(query)) : lines;
        if (!shown.length) continue;
        const atEnd = log.scrollTop + log.clientHeight > log.scrollHeight - 40;
        log.append(`${shown.join("\n")}\n`);
        while (log.childNodes.length > 5000) log.firstChild.remove();
        if (atEnd) log.scrollTop = log.scrollHeight;
      }
      said.textContent = "The log has ended.";
    } catch (error) {
      said.textContent = error.name === "AbortError" ? "Not followed any more." : "The server cannot be reached.";
    }
    button.setAttribute("aria-pressed", "false");
    button.textContent = "Follow";
  };
  button.addEventListener("click", () => {
    if (button.getAttribute("aria-pressed") === "true") return leaving.abort();
    button.setAttribute("aria-pressed", "true");
    button.textContent = "Stop following";
    said.textContent = "New lines appear as they come.";
    follow();
  });
}

// On a narrow screen the navigation scrolls; where one is comes into sight.
document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

reveal(document);
document.querySelectorAll("textarea").forEach(fit);
