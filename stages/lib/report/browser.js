"use strict";
// The conversation browser. The address says what is shown; data files are loaded when they are needed.
// In the order of the work: state, files, matching, list, conversation, controls.

const SETS = JSON.parse(document.getElementById("sets").textContent);
const FOLDER = document.body.dataset.folder;
const UNKNOWN = "unknown"; // group
const ABSENT = "no reply in the data"; // status
const PAGE = 100; // matches in the list at a time
const KEPT_FILES = 8;
const TYPING = 150; // milliseconds without a key until a search starts
const FILTERS = ["q", "group", "turns", "is", "judged", "min", "max", "sort"];
const ENDS = { length: "length: cut at the token limit", imported: "imported: how it ended is not known" };
const JUDGED = {
  "score-left": "left scored higher", "score-level": "scored level", "score-right": "right scored higher",
  "score-none": "not both scored",
  "choice-left": "left chosen", "choice-level": "neither chosen", "choice-right": "right chosen",
  "choice-split": "the two orders disagree", "choice-none": "no choice",
};
const ORDERS = {
  "": "as asked", "length": "longest reply first",
  "length-difference": "most unlike in length", "score-difference": "most unlike in score",
};
const form = document.getElementById("controls");
const field = form.elements;
const byId = (id) => document.getElementById(id);
const number = (value) => value.toLocaleString("en");
const count = (value, noun) => `${number(value)} ${noun}${value === 1 ? "" : "s"}`;

/** An element with properties and children; text stays text. */
function make(tag, properties, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

// State: what the address says, with what it leaves open filled in

function readAddress() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const set = SETS.find((each) => each.name === asked.get("set")) ?? SETS[0];
  const left = set.models.includes(asked.get("left")) ? asked.get("left") : set.models[0];
  const second = set.models.find((model) => model !== left) ?? "";
  const right = ["", ...set.models].includes(asked.get("right")) ? asked.get("right") : second;
  const filters = Object.fromEntries(FILTERS.map((name) => [name, asked.get(name) ?? ""]));
  const unknown = ["left", "right"].map((side) => asked.get(side)).filter((name) => name && !set.models.includes(name));
  return { set, left, right, at: asked.get("at") ?? "", unknown, ...filters };
}

function address(changes) {
  const { set, unknown, ...rest } = { ...state, ...changes };
  const filled = Object.entries({ set: set.name, ...rest }).filter(([name, value]) => value !== "" || name === "right");
  return "#" + new URLSearchParams(filled);
}

function go(changes) {
  history.replaceState(null, "", address(changes));
  return update();
}

// Files: each calls receive() with its rows as texts of JSON

const files = new Map(); // by name: a promise of rows
const waiting = new Map(); // by name: what takes the rows

globalThis.receive = (name, rows) => waiting.get(name)?.(rows.map((row) => JSON.parse(row)));

function read(name, prepare) {
  const known = files.get(name) ?? request(name).then(prepare);
  files.delete(name);
  files.set(name, known); // the latest last
  known.catch(() => files.delete(name));
  for (const old of [...files.keys()].slice(0, -KEPT_FILES)) files.delete(old);
  return known;
}

function request(name) {
  return new Promise((resolve, reject) => {
    const path = `${FOLDER}/${name}.js`;
    const script = make("script", { src: path });
    const fail = (why) => () => {
      script.remove();
      waiting.delete(name);
      reject(new Error(`${path} ${why}. Make the report again, or copy the folder ${FOLDER} beside this page.`));
    };
    waiting.set(name, resolve);
    script.onload = fail("is damaged"); // too late to matter where the rows have come
    script.onerror = fail("is not there");
    document.head.append(script);
  });
}

function preparePrompts(rows) {
  for (const row of rows) {
    row.group ||= UNKNOWN;
    row.text = row.users.join("\n").toLowerCase();
  }
  return rows;
}

/** Replies by the place of their prompt, each with its length, its mean score and the text that is searched. */
function prepareReplies(rows) {
  const replies = [];
  for (const row of rows) {
    const scores = row.turns.map((turn) => turn.score).filter((score) => score !== undefined);
    row.chars = row.turns.reduce((sum, turn) => sum + turn.chars, 0);
    row.score = scores.length ? scores.reduce((sum, score) => sum + score, 0) / scores.length : null;
    row.text = row.turns.map((turn) => plain(turn.html)).join("\n").toLowerCase();
    replies[row.at] = row;
  }
  return replies;
}

function plain(html = "") {
  const text = html.replace(/<[^>]*>/g, "").replaceAll("&lt;", "<").replaceAll("&gt;", ">");
  return text.replaceAll("&quot;", '"').replaceAll("&amp;", "&");
}

function prepareChoices(rows) {
  return new Map(rows.map((row) => [row.at, row.choices]));
}

/** What the state needs of the files: the prompts, the replies of each side, the choices between the two. */
async function load({ set, left, right }) {
  const numbers = [left, right].filter(Boolean).map((model) => set.models.indexOf(model) + 1);
  const pair = [...numbers].sort((a, b) => a - b).join("-");
  const has = set.pairs.some((each) => each.join("-") === pair);
  const [prompts, choices, ...sides] = await Promise.all([
    read(`${set.name}-0`, preparePrompts),
    has ? read(`${set.name}-${pair}`, prepareChoices) : new Map(),
    ...numbers.map((each) => read(`${set.name}-${each}`, prepareReplies)),
  ]);
  const isScored = sides.some((side) => side.some((reply) => reply.score !== null));
  return { prompts, choices, numbers, sides, isScored };
}

// Matching

const repliesAt = (place) => data.sides.map((side) => side[place]);
const turnsAt = (place) =>
  Math.max(data.prompts[place].users.length, ...repliesAt(place).map((reply) => reply?.turns.length ?? 0));
const labelsAt = (place) => new Set(repliesAt(place).flatMap((reply) => reply?.labels ?? [ABSENT]));

/** The words of a search; what stands between quotes is one. */
function words(query) {
  return [...query.toLowerCase().matchAll(/"([^"]+)"|[^\s"]+/g)].map((match) => match[1] ?? match[0]);
}

/** The winners of a turn, one of each order that has a verdict: models' numbers, 0 for a tie. */
function winners(choices, turn) {
  return choices.filter((choice) => choice.turn === turn && choice.winner !== null).map((choice) => choice.winner);
}

/** Who wins a turn by both orders together; 0 also where they disagree. */
function winner(choices, turn) {
  const found = winners(choices, turn);
  if (!found.length) return null;
  return found.every((each) => each === found[0]) ? found[0] : 0;
}

function isSplit(choices, turn) {
  return new Set(winners(choices, turn)).size > 1;
}

function judgedAt(place) {
  const sign = (value) => ["left", "level", "right"][Math.sign(value) + 1];
  const [left, right] = repliesAt(place).map((reply) => reply?.score ?? null);
  const scored = left !== null && right !== null && right !== undefined;
  const choices = data.choices.get(place) ?? [];
  const turns = [...new Set(choices.map((choice) => choice.turn))];
  const won = turns.map((turn) => winner(choices, turn)).filter((each) => each !== null);
  const lead = won.reduce((sum, each) => sum + (each === data.numbers[1]) - (each === data.numbers[0]), 0);
  return [
    ...(data.isScored ? [scored ? `score-${sign(right - left)}` : "score-none"] : []),
    ...(data.choices.size ? [won.length ? `choice-${sign(lead)}` : "choice-none"] : []),
    ...(turns.some((turn) => isSplit(choices, turn)) ? ["choice-split"] : []),
  ];
}

function spread(place, value) {
  const [one, other] = repliesAt(place).map((reply) => reply?.[value] ?? null);
  return one === null || other === null || other === undefined ? -1 : Math.abs(one - other);
}

function findMatches() {
  const sought = words(state.q);
  const [low, high] = [Number(state.min) || 0, Number(state.max) || Infinity];
  const hasWord = (place, word) =>
    data.prompts[place].text.includes(word) || repliesAt(place).some((reply) => reply?.text.includes(word));
  const fits = (reply) => reply && reply.chars >= low && reply.chars <= high;
  const passes = (place) =>
    (!state.group || data.prompts[place].group === state.group) &&
    (!state.turns || String(turnsAt(place)) === state.turns) &&
    (!state.is || labelsAt(place).has(state.is)) &&
    (!state.judged || judgedAt(place).includes(state.judged)) &&
    ((!low && high === Infinity) || repliesAt(place).some(fits)) &&
    sought.every((word) => hasWord(place, word));
  const rank = {
    "length": (place) => Math.max(...repliesAt(place).map((reply) => reply?.chars ?? 0)),
    "length-difference": (place) => spread(place, "chars"),
    "score-difference": (place) => spread(place, "score"),
  }[state.sort];
  const found = [...data.prompts.keys()].filter(passes);
  if (!rank) return found;
  const ranks = new Map(found.map((place) => [place, rank(place)]));
  return found.sort((one, other) => ranks.get(other) - ranks.get(one) || one - other);
}

// The list

function showList(first) {
  start = first;
  const shown = matches.slice(start, start + PAGE);
  byId("count").textContent = `${number(matches.length)} of ${number(data.prompts.length)}`;
  byId("range").textContent = matches.length > PAGE ? `${number(start + 1)}–${number(start + shown.length)}` : "";
  byId("earlier").hidden = byId("later").hidden = matches.length <= PAGE;
  byId("earlier").disabled = start === 0;
  byId("later").disabled = start + PAGE >= matches.length;
  byId("list").replaceChildren(...shown.map(listItem));
  markCurrent();
}

function listItem(place) {
  const { key, users } = data.prompts[place];
  const asked = startOf(users.find((user) => user.trim()));
  const said = repliesAt(place).map((reply) => startOf(plain(reply?.turns[0]?.html?.slice(0, 400)))).find(Boolean);
  const top = make("span", { dir: "auto", className: asked ? "" : "said" }, asked || `… ${said ?? key}`);
  const link = make("a", { href: address({ at: key }) }, top, make("span", { className: "meta" }, summary(place)));
  link.dataset.key = key;
  return make("li", {}, link);
}

const startOf = (text = "") => text.trim().slice(0, 160);

function summary(place) {
  const replies = repliesAt(place);
  const { group } = data.prompts[place];
  const sizes = replies.map((reply) => (reply ? number(reply.chars) : "–"));
  const scores = replies.map((reply) => (reply?.score == null ? "–" : round(reply.score)));
  const isScored = scores.some((score) => score !== "–");
  return [
    ...(group === UNKNOWN ? [] : [group]),
    count(turnsAt(place), "turn"),
    `${sizes.join(" | ")} chars`,
    ...(isScored ? [`score ${scores.join(" | ")}`] : []),
  ].join(" · ");
}

const round = (score) => String(Math.round(score * 100) / 100);

function markCurrent() {
  for (const link of byId("list").querySelectorAll("a")) {
    const isCurrent = link.dataset.key === state.at;
    link.toggleAttribute("aria-current", isCurrent);
    if (isCurrent) link.scrollIntoView({ block: "nearest" });
  }
}

// The conversation

function showConversation() {
  const place = matches.find((each) => data.prompts[each].key === state.at);
  const parts = place === undefined ? [nothingFound()] : conversation(place);
  byId("conversation").replaceChildren(...parts);
  highlight(byId("conversation"), words(state.q));
}

function nothingFound() {
  const reset = make("button", { type: "button", onclick: resetFilters }, "Show all");
  return make("p", {}, "No conversation matches. Take a filter away, or: ", reset);
}

function conversation(place) {
  const { key, group, users } = data.prompts[place];
  const position = matches.indexOf(place);
  const known = group === UNKNOWN ? "" : ` · ${group}`;
  const title = `${number(position + 1)} of ${number(matches.length)}${known} `;
  const turns = Array.from({ length: turnsAt(place) }, (_, index) => turn(place, index, users[index] ?? ""));
  return [
    make("div", { className: "bar" }, make("h2", {}, title, make("small", {}, key)), steps(position)),
    make("div", { className: "sides heads" }, ...repliesAt(place).map(head)),
    ...turns,
  ];
}

function steps(position) {
  const step = (label, by) =>
    make("button", { type: "button", disabled: !(position + by in matches), onclick: () => move(by) }, label);
  return make("div", { className: "steps" }, step("← Previous", -1), step("Next →", 1));
}

const sideClass = (side) => `side ${["left", "right"][side]}`;
const modelOf = (side) => [state.left, state.right][side];

function head(reply, side) {
  const labels = reply?.labels ?? [ABSENT];
  const isSaid = (label) => label === "answered" || (label === "dropped" && labels.length > 1);
  const chips = labels.filter((label) => !isSaid(label)).map((label) =>
    make("span", { className: label === "kept" ? "label" : "label odd" }, label));
  return make("div", { className: `${sideClass(side)} head` }, make("b", {}, modelOf(side)), ...chips);
}

function turn(place, index, user) {
  const choices = (data.choices.get(place) ?? []).filter((choice) => choice.turn === index + 1);
  const cards = repliesAt(place).map((reply, side) => card(reply, reply?.turns[index], side));
  return make("section", { className: "turn" },
    ...(turnsAt(place) > 1 ? [make("h3", {}, `Turn ${index + 1}`)] : []),
    user ? userText(user) : quiet("The prompt is not known: the replies came without it.", "user quiet"),
    make("div", { className: "sides" }, ...cards),
    ...(choices.length ? [choiceBox(choices, index + 1)] : []));
}

const userText = (text) => make("div", { className: "user", dir: "auto", lang: "", tabIndex: 0 }, text);
const quiet = (text, className = "quiet") => make("p", { className }, text);

function card(reply, found, side) {
  const box = make("div", { className: `${sideClass(side)} reply` }, make("p", { className: "who" }, modelOf(side)));
  if (!found) {
    box.append(quiet(reply ? "Not asked: the conversation had ended." : "No reply of this model in the data."));
    return box;
  }
  if (found.asked) box.append(quiet("This model was asked something else:"), userText(found.asked));
  const text = make("div", { className: "text", dir: "auto", lang: "" });
  if (found.html) text.innerHTML = found.html; // made and cleaned by page.py: no handlers, links or images
  else text.append(quiet("(no text)"));
  box.append(text, facts(found));
  if (found.judge) box.append(opinion(["The judge"], found.judge, true));
  return box;
}

/** What a judge said, which can be folded. */
function opinion(title, text, open) {
  return make("details", { className: "judge", open }, make("summary", {}, ...title), make("p", { dir: "auto" }, text));
}

function facts(found) {
  const line = make("p", { className: "facts" }, count(found.chars, "character"));
  const isOdd = !["stop", "imported"].includes(found.end);
  if (found.end) line.append(" · ", make("span", { className: isOdd ? "odd" : "" }, ENDS[found.end] ?? found.end));
  if (found.score !== undefined) line.append(" · score ", make("b", {}, round(found.score)));
  else if (found.unscored) line.append(" · ", make("span", { className: "odd" }, `no score: ${found.unscored}`));
  return line;
}

function choiceBox(choices, turn) {
  const name = (model) => (model === null ? "no verdict" : model === 0 ? "a tie" : state.set.models[model - 1]);
  const verdict = isSplit(choices, turn) ? "the two orders disagree" : name(winner(choices, turn));
  const orders = choices.map(({ first, winner, reason, text }) =>
    opinion([`${name(first)} shown first: `, make("b", {}, name(winner)), reason ? ` (${reason})` : ""], text, false));
  const title = make("p", {}, "The judge, shown both, prefers: ", make("b", {}, verdict));
  return make("div", { className: "choice" }, title, ...orders);
}

/** Paint the words where they stand in text; the elements stay as they are. */
function highlight(root, sought) {
  if (!globalThis.CSS?.highlights) return;
  CSS.highlights.delete("found");
  if (!sought.length) return;
  const pattern = new RegExp(sought.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|"), "giu");
  const ranges = [...root.querySelectorAll(".user, .text")].flatMap((block) => rangesIn(block, pattern));
  CSS.highlights.set("found", new Highlight(...ranges));
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

// Controls

let state, data;
let matches = []; // places of prompts
let start = 0; // of the list, in the matches
let ticket = 0; // of the latest update: an older one that is still loading gives up
let shown = ""; // the view without `at`, as an address

async function update() {
  const mine = ++ticket;
  state = readAddress();
  fillModels();
  try {
    const loaded = await load(state);
    if (mine !== ticket) return;
    data = loaded;
  } catch (error) {
    if (mine === ticket) fail(error.message);
    return;
  }
  show();
}

function show() {
  const view = address({ at: "" });
  if (view !== shown) {
    fillFilters();
    matches = findMatches();
  }
  const position = Math.max(0, matches.findIndex((place) => data.prompts[place].key === state.at));
  const key = matches.length ? data.prompts[matches[position]].key : "";
  const isLost = state.at && !data.prompts.some((prompt) => prompt.key === state.at);
  const lost = [...state.unknown.map((name) => `model ${name}`), ...(isLost ? [`conversation ${state.at}`] : [])];
  tell(lost.map((name) => `There is no ${name} in this collection.`).join(" "));
  if (key !== state.at) history.replaceState(null, "", address({ at: key }));
  state.at = key;
  const page = Math.floor(position / PAGE) * PAGE;
  if (view !== shown || page !== start) showList(page);
  else markCurrent();
  shown = view;
  document.querySelector("main").hidden = false;
  showConversation();
  if (byId("conversation").getBoundingClientRect().top < 0) byId("conversation").scrollIntoView();
}

function tell(text) {
  byId("message").textContent = text;
  byId("message").hidden = !text;
}

function fail(text) {
  tell(text);
  document.querySelector("main").hidden = true;
  shown = "";
}

function move(by) {
  const position = matches.findIndex((place) => data.prompts[place].key === state.at);
  const next = matches[position + by];
  if (next === undefined) return;
  location.hash = address({ at: data.prompts[next].key });
}

function fillSelect(select, options, value) {
  const known = options.some(([each]) => each === value) ? options : [...options, [value, `${value} (0)`]];
  select.replaceChildren(...known.map(([each, label]) => make("option", { value: each }, label)));
  select.value = value;
}

function fillModels() {
  const { replies, prompts, models, other_choices: others } = state.set;
  const some = (index) => (replies[index] === prompts ? "" : ` (${number(replies[index])} of ${number(prompts)})`);
  const options = models.map((model, index) => [model, model + some(index)]);
  fillSelect(field.set, SETS.map((set) => [set.name, set.title]), state.set.name);
  fillSelect(field.left, options, state.left);
  fillSelect(field.right, [...options, ["", "(none)"]], state.right);
  byId("swap").disabled = !state.right;
  const verdicts = `${count(others, "verdict")} on models that are not here ${others === 1 ? "is" : "are"} not shown.`;
  byId("others").textContent = others ? verdicts : "";
  form.hidden = false;
}

/** Offer what there is, with how often; a filter that would tell nothing apart is hidden. */
function fillFilter(name, values, labelOf = String) {
  const counts = new Map();
  for (const value of values) counts.set(String(value), (counts.get(String(value)) ?? 0) + 1);
  const sorted = [...counts].sort(([one], [other]) => one.localeCompare(other, "en", { numeric: true }));
  const options = sorted.map(([value, times]) => [value, `${labelOf(value)} (${number(times)})`]);
  fillSelect(field[name], [["", "any"], ...options], state[name]);
  field[name].closest("label").hidden = options.length < 2 && !state[name];
}

function fillFilters() {
  const places = [...data.prompts.keys()];
  fillFilter("group", places.map((place) => data.prompts[place].group));
  fillFilter("turns", places.map(turnsAt));
  fillFilter("is", places.flatMap((place) => [...labelsAt(place)]));
  fillFilter("judged", places.flatMap(judgedAt), (name) => JUDGED[name] ?? name);
  const orders = Object.entries(ORDERS).filter(([name]) => data.isScored || name !== "score-difference");
  fillSelect(field.sort, orders, state.sort);
  for (const name of ["q", "min", "max"]) if (document.activeElement !== field[name]) field[name].value = state[name];
  byId("group-name").textContent = state.set.group;
  const active = FILTERS.filter((name) => name !== "q" && state[name]).length;
  byId("active").textContent = active ? ` (${active} set)` : "";
}

function resetFilters() {
  field.q.value = field.min.value = field.max.value = "";
  return go(Object.fromEntries(FILTERS.map((name) => [name, ""])));
}

let timer; // of what was typed last

/** What the controls say. */
function chosen() {
  return Object.fromEntries(["left", "right", ...FILTERS].map((name) => [name, field[name].value]));
}

function listen() {
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", ({ target: { name, value, localName } }) => {
    clearTimeout(timer);
    timer = setTimeout(() => (name === "set" ? openSet(value) : go(chosen())), localName === "input" ? TYPING : 0);
  });
  byId("swap").addEventListener("click", () => go({ left: state.right, right: state.left }));
  byId("reset").addEventListener("click", resetFilters);
  byId("earlier").addEventListener("click", () => showList(start - PAGE));
  byId("later").addEventListener("click", () => showList(start + PAGE));
  addEventListener("hashchange", update);
  addEventListener("keydown", onKey);
}

function openSet(name) {
  field.q.value = field.min.value = field.max.value = "";
  history.replaceState(null, "", "#" + new URLSearchParams({ set: name }));
  return update();
}

function onKey(event) {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const isPlain = !event.altKey && !event.ctrlKey && !event.metaKey && !event.shiftKey;
  if (!by || !isPlain || !data || event.target.closest("input, select, textarea, pre, table, .user")) return;
  event.preventDefault();
  move(by);
}

if (SETS.some((set) => set.models.length)) {
  byId("filters").open = matchMedia("(min-width: 52rem)").matches;
  listen();
  update();
} else {
  tell("There is nothing to read: no DGM has answered a prompt and no model a question. " +
    "Name some in params.yaml (dgms, compare), then run dvc repro.");
}
