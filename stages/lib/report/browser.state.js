"use strict";
// The conversation browser. The address holds the state; data files are loaded when they are needed.
// Its parts, in the order of SCRIPTS in browser.py: state, files, matches, list, conversation, controls.

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
  "": "original order", "length": "longest reply first",
  "length-difference": "largest length difference", "score-difference": "largest score difference",
};
// Of the rows of a benchmark, that have a score and are correct or wrong
const COMPARED = (left, right) => ({
  "score-left": `${left} scored higher`, "score-level": "same score", "score-right": `${right} scored higher`,
  "score-none": "not both scored", "score-differs": "scores differ",
  "only-left": `${left} correct, ${right} wrong`, "only-right": `${right} correct, ${left} wrong`,
  "both-correct": "both correct", "both-wrong": "both wrong",
});
const ROW_ORDERS = { "": "largest score difference", original: "original order", length: "longest reply first" };
const form = document.getElementById("controls");
const field = form.elements;
const byId = (id) => document.getElementById(id);
const number = (value) => value.toLocaleString("en");
const count = (value, noun) => `${number(value)} ${noun}${value === 1 ? "" : "s"}`;

/** A text among others that its direction does not disturb, where elements cannot stand. */
const isolated = (text) => (/[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/.test(text) ? `\u2068${text}\u2069` : text);

/** An element with properties and children; text stays text. */
function make(tag, properties, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

// State: what the address says, completed with defaults

function readAddress() {
  const params = new URLSearchParams(location.hash.slice(1));
  const set = SETS.find((each) => each.name === params.get("set")) ?? SETS[0];
  const left = set.models.includes(params.get("left")) ? params.get("left") : set.models[0];
  const second = set.models.find((model) => model !== left) ?? "";
  const right = ["", ...set.models].includes(params.get("right")) ? params.get("right") : second;
  const filters = Object.fromEntries(FILTERS.map((name) => [name, params.get(name) ?? ""]));
  const unknown = ["left", "right"].map((side) => params.get(side)).filter((name) => name && !set.models.includes(name));
  return { set, left, right, at: params.get("at") ?? "", unknown, ...filters };
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
