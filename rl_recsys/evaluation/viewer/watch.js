"use strict";
// Steps through recorded episodes. Every text of an episode is set as text, never as markup.
(() => {
  const byId = (id) => document.getElementById(id);
  let summaries, details; // of each episode what the list says of it, and its steps
  const shown = []; // {place, step} of one episode, or of two
  let listed = [];

  function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (value !== null && value !== undefined) made.setAttribute(key, value);
    }
    made.append(...children);
    return made;
  }

  const percent = (share) => (share < 0.0005 ? "< 0.1 %" : `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`);

  // What the shop showed: its buttons stand between marks, the rest is lines of text.
  function pageOf(text, arm) {
    const page = element("div", { class: "page", tabindex: 0, role: "region", "aria-label": `The page, ${arm}` });
    for (const line of text.split("\n")) {
      const button = line.match(/^\s*\[(clicked )?button\] (.*) \[(clicked )?button_\]$/);
      if (button) {
        page.append(element("span", { class: button[1] ? "button clicked" : "button" }, button[2]), " ");
      } else if (line.trim()) {
        page.append(element("p", {}, line));
      }
    }
    return page;
  }

  function choicesOf(detail, step, arm) {
    const list = element("ol", { class: "choices", tabindex: 0, "aria-label": `Choices, ${arm}` });
    const order = step.choices.map((_, place) => place);
    const likely = order.length > 1 && step.probabilities; // of a single choice there is nothing to say
    if (likely) order.sort((a, b) => step.probabilities[b] - step.probabilities[a]);
    for (const place of order) {
      const chosen = place === step.chosen;
      const item = element("li", { class: chosen ? "chosen" : null });
      if (likely) {
        const bar = element("meter", { min: 0, max: 1, value: step.probabilities[place],
          "aria-label": `${detail.policy}: ${percent(step.probabilities[place])}` });
        item.append(bar, element("span", { class: "share", "aria-hidden": "true" }, percent(step.probabilities[place])));
      }
      item.append(element("span", { class: "words" }, step.choices[place]));
      if (chosen) item.append(element("strong", {}, " taken"));
      list.append(item);
    }
    return list;
  }

  function paidOf(summary) {
    const box = element("div", { class: "paid" });
    box.append(element("p", { class: summary.success ? "won" : "lost" }, `Paid: ${summary.outcome}`));
    const list = element("dl");
    for (const [name, value] of summary.parts) {
      const bar = element("meter", { min: 0, max: 1, value, "aria-label": `${name}: ${value.toFixed(2)}` });
      list.append(element("dt", {}, name), element("dd", {}, bar, ` ${value.toFixed(2)}`));
    }
    if (summary.parts.length) box.append(element("h3", {}, "Why"), list);
    if (summary.details.length) {
      const said = summary.details.map(([name, value]) => `${name} ${value}`).join(", ");
      box.append(element("p", { class: "soft" }, said));
    }
    return box;
  }

  function episodeOf({ place, step }) {
    const summary = summaries[place];
    const detail = details[place];
    const last = detail.steps.length;
    const box = element("article", { "aria-label": `${summary.arm}, step ${Math.min(step + 1, last)} of ${last}` });
    const dots = element("p", { class: "dots", "aria-hidden": "true" });
    for (let n = 0; n <= last; n += 1) dots.append(element("i", { class: n === step ? "here" : n < step ? "past" : null }));
    box.append(element("h2", {}, summary.arm), dots);
    if (step >= last) {
      box.append(element("p", { class: "step" }, "The end"), paidOf(summary));
      return box;
    }
    const one = detail.steps[step];
    box.append(element("p", { class: "step" }, `Step ${step + 1} of ${last}`));
    box.append(element("p", { class: "did" }, "Did: ", element("code", {}, one.actions[one.chosen])));
    const head = one.probabilities && one.choices.length > 1 ? `Could do, and how likely ${detail.policy} does it` : "Could do";
    const could = element("section", {}, element("h3", {}, head), choicesOf(detail, one, summary.arm));
    if (one.dropped) could.append(element("p", { class: "soft" }, `${one.dropped} further actions were not offered.`));
    const saw = element("section", {}, element("h3", {}, "Saw"), pageOf(one.page, summary.arm));
    if (one.state.length) {
      const told = element("details", {}, element("summary", {}, "In the words that a policy reads"));
      for (const segment of one.state) told.append(element("p", { class: "soft" }, segment));
      saw.append(told);
    }
    box.append(element("div", { class: "sides" }, saw, could));
    return box;
  }

  function showGoal(summary) {
    const box = byId("goal");
    box.replaceChildren(element("h2", {}, summary.instruction));
    if (summary.wanted.length) {
      const list = element("dl");
      for (const [name, value] of summary.wanted) list.append(element("dt", {}, name), element("dd", {}, value));
      const number = summary.goal >= 0 ? `What was wanted, goal ${summary.goal}` : "What was wanted";
      box.append(element("details", {}, element("summary", {}, number), list));
    }
  }

  function show() {
    byId("episodes-shown").replaceChildren(...shown.map(episodeOf));
    byId("episodes-shown").className = shown.length > 1 ? "two" : "";
    byId("earlier").disabled = shown.every((one) => one.step === 0);
    byId("later").disabled = shown.every((one) => one.step >= details[one.place].steps.length);
    for (const button of byId("list").querySelectorAll("button")) {
      if (Number(button.dataset.place) === shown[0]?.place) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
  }

  function open(place, beside = null) {
    shown.splice(0, shown.length, { place, step: 0 });
    if (beside !== null) shown.push({ place: beside, step: 0 });
    showGoal(summaries[place]);
    const select = byId("beside");
    select.replaceChildren(element("option", { value: "" }, "nothing"));
    summaries.forEach((other, number) => {
      if (number !== place && other.instruction === summaries[place].instruction) {
        select.append(element("option", { value: number }, `${other.arm}: ${other.outcome}`));
      }
    });
    select.value = beside === null ? "" : String(beside);
    select.disabled = select.options.length === 1;
    show();
  }

  function move(by) {
    for (const one of shown) one.step = Math.max(0, Math.min(details[one.place].steps.length, one.step + by));
    if (shown.length) show();
  }

  const REWARDS = {
    "": () => true,
    success: (one) => one.success,
    part: (one) => one.done && one.reward > 0 && !one.success,
    zero: (one) => one.done && one.reward === 0,
    unfinished: (one) => !one.done,
  };

  function filter() {
    const words = byId("filter-words").value.trim().toLowerCase();
    const arm = byId("filter-arm").value;
    const rewarded = REWARDS[byId("filter-reward").value];
    const said = (one) => (/^\d+$/.test(words) ? String(one.goal) === words : one.instruction.toLowerCase().includes(words));
    listed = summaries.map((_, place) => place)
      .filter((place) => said(summaries[place]) && rewarded(summaries[place]) && (!arm || summaries[place].arm === arm));
    byId("list").replaceChildren(...listed.map((place) => {
      const one = summaries[place];
      const button = element("button", { type: "button", "data-place": place },
        element("b", { class: one.success ? "won" : "lost" }, one.outcome), " ",
        element("span", { class: "arm" }, one.arm), " ", one.instruction);
      button.addEventListener("click", () => open(place));
      return element("li", {}, button);
    }));
    byId("count").textContent = `${listed.length} of ${summaries.length} episodes`;
    if (listed.length && !listed.includes(shown[0]?.place)) open(listed[0]);
    else show();
  }

  function next(by) {
    const at = listed.indexOf(shown[0]?.place);
    const place = listed[Math.max(0, Math.min(listed.length - 1, at + by))];
    if (place === undefined) return;
    open(place);
    byId("list").querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
  }

  for (const id of ["filter-reward", "filter-arm"]) byId(id).addEventListener("change", filter);
  byId("filter-words").addEventListener("input", filter);
  byId("earlier").addEventListener("click", () => move(-1));
  byId("later").addEventListener("click", () => move(1));
  byId("beside").addEventListener("change", (event) => {
    open(shown[0].place, event.target.value === "" ? null : Number(event.target.value));
  });
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    const moves = { ArrowLeft: () => move(-1), ArrowRight: () => move(1), j: () => next(1), k: () => next(-1) };
    if (moves[event.key]) {
      event.preventDefault();
      moves[event.key]();
    }
  });

  async function read() {
    const inPage = byId("data");
    if (inPage) return JSON.parse(inPage.textContent);
    const answer = await fetch(byId("viewer").dataset.episodes);
    if (!answer.ok) throw new Error(`the episodes cannot be had (${answer.status})`);
    return answer.json();
  }

  read().then((found) => {
    [summaries, details] = [found.summaries, found.details];
    for (const arm of new Set(summaries.map((one) => one.arm))) {
      byId("filter-arm").append(element("option", { value: arm }, arm));
    }
    byId("plain").remove();
    byId("viewer").hidden = false;
    filter();
    const named = new URLSearchParams(location.hash.slice(1)); // #goal=12&arm=ppo
    const fits = (one) => String(one.goal) === named.get("goal") && (!named.has("arm") || one.arm === named.get("arm"));
    if (summaries.some(fits)) open(summaries.findIndex(fits));
    else if (byId("viewer").dataset.beside && summaries.length > 1) open(0, 1);
  });
})();
