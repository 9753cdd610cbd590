// Controls

let state, data;
let matches = []; // places of prompts
let start = 0; // index of the first listed match
let ticket = 0; // number of the latest update: an older one that is still loading is abandoned
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
  const isUnknown = state.at && !data.prompts.some((prompt) => prompt.key === state.at);
  const missing = [...state.unknown.map((name) => `model ${name}`), ...(isUnknown ? [`${state.set.rows ? "row" : "conversation"} ${state.at}`] : [])];
  showMessage(missing.map((name) => `There is no ${name} in this collection.`).join(" "));
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

function showMessage(text) {
  byId("message").textContent = text;
  byId("message").hidden = !text;
}

function fail(text) {
  showMessage(text);
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
  const options = models.map((model, index) => [model, isolated(model) + some(index)]);
  fillSelect(field.set, SETS.map((set) => [set.name, set.title]), state.set.name);
  fillSelect(field.left, options, state.left);
  fillSelect(field.right, [...options, ["", "(none)"]], state.right);
  byId("swap").disabled = !state.right;
  for (const side of ["left", "right"]) showColour(side);
  const hidden = `${count(others, "choice")} between models that are not here ${others === 1 ? "is" : "are"} not shown.`;
  byId("others").textContent = others ? hidden : "";
  byId("note").textContent = state.set.note;
  byId("note").hidden = !state.set.note;
  byId("set-name").textContent = state.set.rows ? "Benchmark" : "Collection";
  byId("judged-name").textContent = state.set.rows ? "Both compared" : "Judgment";
  document.body.classList.toggle("as-written", state.set.rows);
  form.hidden = false;
}

/** Give a side the colour that its model has on all pages. */
function showColour(side) {
  const colour = state.set.colours[state.set.models.indexOf(state[side])];
  if (colour) document.documentElement.style.setProperty(`--${side}`, colour);
  else document.documentElement.style.removeProperty(`--${side}`);
}

/** Offer the values that occur, with their counts; hide a filter with fewer than two. */
function fillFilter(name, values, labelOf = String) {
  const counts = new Map();
  for (const value of values) counts.set(String(value), (counts.get(String(value)) ?? 0) + 1);
  const sorted = [...counts].sort(([one], [other]) => one.localeCompare(other, "en", { numeric: true }));
  const options = sorted.map(([value, times]) => [value, `${isolated(labelOf(value))} (${number(times)})`]);
  fillSelect(field[name], [["", "any"], ...options], state[name]);
  field[name].closest("label").hidden = options.length < 2 && !state[name];
}

function fillFilters() {
  const places = [...data.prompts.keys()];
  fillFilter("group", places.map((place) => data.prompts[place].group));
  fillFilter("turns", places.map(turnsAt));
  fillFilter("is", places.flatMap((place) => [...labelsAt(place)]));
  const judged = state.set.rows ? COMPARED(state.left, state.right) : JUDGED;
  fillFilter("judged", places.flatMap(judgedAt), (name) => judged[name] ?? name);
  const orders = Object.entries(state.set.rows ? ROW_ORDERS : ORDERS).filter(([name]) => data.isScored || name !== "score-difference");
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

let timer; // of the last key

/** The values of the controls. */
function readControls() {
  return Object.fromEntries(["left", "right", ...FILTERS].map((name) => [name, field[name].value]));
}

function listen() {
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", ({ target: { name, value, localName } }) => {
    clearTimeout(timer);
    timer = setTimeout(() => (name === "set" ? openSet(value) : go(readControls())), localName === "input" ? TYPING : 0);
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
  const kept = state.set.rows ? { left: state.left, right: state.right } : {}; // benchmarks have the same models
  history.replaceState(null, "", "#" + new URLSearchParams({ set: name, ...kept }));
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
  showMessage("There is nothing to read: no DGM has answered a prompt and no model a question. " +
    "Name some in params.yaml (dgms, compare), then run dvc repro.");
}
