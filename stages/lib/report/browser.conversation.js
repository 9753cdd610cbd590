// The conversation

function showConversation() {
  const place = matches.find((each) => data.prompts[each].key === state.at);
  const parts = place === undefined ? [nothingFound()] : conversation(place);
  byId("conversation").replaceChildren(...parts);
  highlight(byId("conversation"), words(state.q));
}

function nothingFound() {
  const reset = make("button", { type: "button", onclick: resetFilters }, "Show all");
  return make("p", {}, `No ${state.set.rows ? "row" : "conversation"} matches. Remove a filter, or: `, reset);
}

function conversation(place) {
  const { key, group, system, users } = data.prompts[place];
  const position = matches.indexOf(place);
  const known = group === UNKNOWN ? [] : [" · ", isolate(group)];
  const title = [`${number(position + 1)} of ${number(matches.length)}`, ...known, " "];
  const turns = Array.from({ length: turnsAt(place) }, (_, index) => turn(place, index, users[index] ?? ""));
  return [
    make("div", { className: "bar" }, make("h2", {}, ...title, make("small", { dir: "auto" }, state.set.rows ? `row ${key}` : key)), steps(position)),
    make("div", { className: "sides heads" }, ...repliesAt(place).map(head)),
    ...(system ? [make("section", { className: "system" }, make("h3", {}, "System message"), userText(system))] : []),
    ...turns,
  ];
}

function steps(position) {
  const step = (label, by) =>
    make("button", { type: "button", disabled: !(position + by in matches), onclick: () => move(by) }, label);
  return make("div", { className: "steps" }, step("← Previous", -1), step("Next →", 1));
}

const sideClass = (side) => `side ${["left", "right"][side]}`;
const isolate = (text) => make("bdi", {}, text);
const modelOf = (side) => [state.left, state.right][side];

function head(reply, side) {
  const labels = reply?.labels ?? [ABSENT];
  const isImplied = (label) => label === "answered" || (label === "dropped" && labels.length > 1);
  const chips = labels.filter((label) => !isImplied(label)).map((label) =>
    make("span", { className: ["kept", "correct"].includes(label) ? "label" : "label odd" }, label));
  return make("div", { className: `${sideClass(side)} head` }, make("b", {}, isolate(modelOf(side))), ...chips);
}

function turn(place, index, user) {
  const choices = (data.choices.get(place) ?? []).filter((choice) => choice.turn === index + 1);
  const cards = repliesAt(place).map((reply, side) => card(reply, reply?.turns[index], side));
  return make("section", { className: "turn" },
    ...(turnsAt(place) > 1 ? [make("h3", {}, `Turn ${index + 1}`)] : []),
    user ? userText(user) : quiet("The prompt is not known: the replies came without it.", "user quiet"),
    ...(index === 0 && data.prompts[place].target ? [targetLine(data.prompts[place].target)] : []),
    make("div", { className: "sides" }, ...cards),
    ...(choices.length ? [choiceBox(choices, index + 1)] : []));
}

const targetLine = (target) => make("p", { className: "target" }, "Expected: ", make("bdi", {}, target));
const userText = (text) => make("div", { className: "user", dir: "auto", lang: "", tabIndex: 0 }, text);
const quiet = (text, className = "quiet") => make("p", { className }, text);

function card(reply, turn, side) {
  const box = make("div", { className: `${sideClass(side)} reply` }, make("p", { className: "who" }, isolate(modelOf(side))));
  if (!turn) {
    box.append(quiet(reply ? "Not asked: the conversation had ended." : "No reply of this model in the data."));
    return box;
  }
  if (turn.asked) box.append(quiet(state.set.rows ? "This model's own prompt:" : "This model was asked something else:"), userText(turn.asked));
  const text = make("div", { className: "text", dir: "auto", lang: "" });
  if (turn.html) text.innerHTML = turn.html; // made and cleaned by page.py: no handlers, links or images
  else text.append(quiet("(no text)"));
  box.append(text, facts(turn));
  if (turn.judge) box.append(judgeText(["The judge"], turn.judge, true));
  return box;
}

/** The text of a judge, which can be folded. */
function judgeText(title, text, open) {
  return make("details", { className: "judge", open }, make("summary", {}, ...title), make("p", { dir: "auto" }, text));
}

function facts(turn) {
  const line = make("p", { className: "facts" }, count(turn.chars, "character"));
  const isOdd = !["stop", "imported"].includes(turn.end);
  if (turn.end) line.append(" · ", make("span", { className: isOdd ? "odd" : "" }, ENDS[turn.end] ?? turn.end));
  if (turn.answer) line.append(" · answer found: ", make("b", {}, make("bdi", {}, turn.answer)));
  else if (turn.answer === "") line.append(" · ", make("span", { className: "odd" }, "no answer found"));
  if (turn.score !== undefined) line.append(" · score ", make("b", {}, round(turn.score)));
  else if (turn.unscored) line.append(" · ", make("span", { className: "odd" }, state.set.rows ? turn.unscored : `no score: ${turn.unscored}`));
  return line;
}

function choiceBox(choices, turn) {
  const name = (model) => (model === null ? "no choice" : model === 0 ? "a tie" : state.set.models[model - 1]);
  const result = isSplit(choices, turn) ? "the two orders disagree" : name(winner(choices, turn));
  const orders = choices.map(({ first, winner, reason, text }) =>
    judgeText([isolate(name(first)), " shown first: ", make("b", {}, isolate(name(winner))), reason ? ` (${reason})` : ""], text, false));
  const title = make("p", {}, "The judge, shown both, prefers: ", make("b", {}, isolate(result)));
  return make("div", { className: "choice" }, title, ...orders);
}

/** Highlight the words in the text without changing the elements. */
function highlight(root, terms) {
  if (!globalThis.CSS?.highlights) return;
  CSS.highlights.delete("matches");
  if (!terms.length) return;
  const pattern = new RegExp(terms.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|"), "giu");
  const ranges = [...root.querySelectorAll(".user, .text")].flatMap((block) => rangesIn(block, pattern));
  CSS.highlights.set("matches", new Highlight(...ranges));
}

function rangesIn(root, pattern) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  const ranges = [];
  while (walker.nextNode()) {
    for (const match of walker.currentNode.data.matchAll(pattern)) {
      const range = new Range();
      range.setStart(walker.currentNode, match.index);
      range.setEnd(walker.currentNode, match.index + match[0].length);
      ranges.push(range);
    }
  }
  return ranges;
}
