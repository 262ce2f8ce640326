// The list as it comes: at once the search's, then the agent's. Without this file the form asks for the whole page.
"use strict";
const form = document.getElementById("ask"), state = document.getElementById("state"), list = document.getElementById("list");
let asked = null, done = null, clicked = new Set();

function element(name, text, kind) {
  const made = document.createElement(name);
  if (text) made.textContent = text;  // never markup, whatever a product is called
  if (kind) made.className = kind;
  return made;
}

const percent = (share) => `${Math.round(100 * share)} %`;

function product(one, answer) {
  const item = element("li");
  item.append(element("h2", one.title || one.item), element("p", one.price, "price"));
  const options = element("p", "", "options");
  for (const [name, value] of Object.entries(one.options || {})) options.append(element("span", `${name}: ${value}`));
  if (options.childNodes.length) item.append(options);
  if (one.share) {
    const [low, high] = one.interval, meter = element("meter", String(one.share));
    meter.value = one.share;
    item.append(meter, element("p", `Bought in ${Math.round(one.share * answer.sessions)} of the agent's ${answer.sessions} sessions: likely ${percent(low)} to ${percent(high)} of all`, "sure"));
  } else item.append(element("p", answer.sessions ? "Found by the search; the agent bought others" : "Found by the search", "sure"));
  const why = element("details");
  const has = (one.meets || []).length, lacks = (one.lacks || []).length;
  why.append(element("summary", lacks ? `Why: it lacks ${lacks} of ${has + lacks}` : "Why"));
  if (has) why.append(element("p", `Has ${one.meets.join(", ")}`, "meets"));
  if (lacks) why.append(element("p", `Lacks ${one.lacks.join(", ")}`, "lacks"));
  why.addEventListener("toggle", () => why.open && clicked.add(one.item));
  why.open = clicked.has(one.item);
  const take = element("button", "Take this one");
  take.disabled = !answer.id;
  take.addEventListener("click", () => report([one.item]));
  item.append(why, take);
  return item;
}

function show(answer) {
  list.replaceChildren(...answer.products.map((one) => product(one, answer)));
  const from = answer.sessions ? `, from ${answer.sessions} sessions of the agent` : ", from the search; the agent is shopping";
  state.textContent = answer.products.length ? `${answer.products.length} products${from}` : `Nothing: ${answer.status}`;
  if (answer.id) done = answer;
}

async function report(bought) {
  const there = new Set(done.products.map((one) => one.item));
  const body = JSON.stringify({ id: done.id, clicked: [...clicked].filter((item) => there.has(item)), bought });
  done = null;
  const answer = await fetch("feedback", { method: "POST", headers: { "Content-Type": "application/json" }, body, keepalive: true });
  if (bought.length) {
    state.textContent = answer.ok ? "Thank you: what you took is noted." : (await answer.json()).detail;
    for (const button of list.querySelectorAll("button")) button.disabled = true;
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (asked) asked.abort();
  if (done) report([]);
  asked = new AbortController();
  [done, clicked] = [null, new Set()];
  state.textContent = "Searching";
  const q = document.getElementById("q").value;
  history.replaceState(null, "", `?q=${encodeURIComponent(q)}`);
  try {
    const answer = await fetch("recommend/stream", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ text: q }), signal: asked.signal,
    });
    if (!answer.ok) {
      const { detail } = await answer.json();
      list.replaceChildren();
      state.textContent = typeof detail === "string" ? detail : detail[0].msg;
      return;
    }
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      const lines = (text + part.value).split("\n");
      text = lines.pop();
      for (const line of lines) show(JSON.parse(line));
    }
  } catch (error) {
    if (error.name !== "AbortError") state.textContent = "The service cannot be reached; try again";
  }
});

addEventListener("pagehide", () => done && report([]));
