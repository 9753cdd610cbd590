// Matching

const repliesAt = (place) => data.sides.map((side) => side[place]);
const turnsAt = (place) =>
  Math.max(data.prompts[place].users.length, ...repliesAt(place).map((reply) => reply?.turns.length ?? 0));
const labelsAt = (place) => new Set(repliesAt(place).flatMap((reply) => reply?.labels ?? [ABSENT]));

/** The words of a search; a phrase in quotes counts as one. */
function words(query) {
  return [...query.toLowerCase().matchAll(/"([^"]+)"|[^\s"]+/g)].map((match) => match[1] ?? match[0]);
}

/** The winners of a turn, one for each order in which the judge chose: models' numbers, 0 for a tie. */
function winners(choices, turn) {
  return choices.filter((choice) => choice.turn === turn && choice.winner !== null).map((choice) => choice.winner);
}

/** The winner of a turn by both orders together; 0 also when they disagree. */
function winner(choices, turn) {
  const all = winners(choices, turn);
  if (!all.length) return null;
  return all.every((each) => each === all[0]) ? all[0] : 0;
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
  if (state.set.rows) return comparedAt(place, left, right);
  return [
    ...(data.isScored ? [scored ? `score-${sign(right - left)}` : "score-none"] : []),
    ...(data.choices.size ? [won.length ? `choice-${sign(lead)}` : "choice-none"] : []),
    ...(turns.some((turn) => isSplit(choices, turn)) ? ["choice-split"] : []),
  ];
}

/** How two models did on a row of a benchmark, by which the page filters. */
function comparedAt(place, left, right) {
  const [one, other] = repliesAt(place).map((reply) => reply?.labels ?? []);
  const are = (first, second) => one.includes(first) && other.includes(second);
  if (left === null || right === null || right === undefined) return ["score-none"];
  if (left === right) return [are("correct", "correct") ? "both-correct" : are("wrong", "wrong") ? "both-wrong" : "score-level"];
  if (left > right) return ["score-differs", are("correct", "wrong") ? "only-left" : "score-left"];
  return ["score-differs", are("wrong", "correct") ? "only-right" : "score-right"];
}

function spread(place, value) {
  const [one, other] = repliesAt(place).map((reply) => reply?.[value] ?? null);
  return one === null || other === null || other === undefined ? -1 : Math.abs(one - other);
}

function findMatches() {
  const terms = words(state.q);
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
    terms.every((word) => hasWord(place, word));
  const rank = {
    "length": (place) => Math.max(...repliesAt(place).map((reply) => reply?.chars ?? 0)),
    "length-difference": (place) => spread(place, "chars"),
    "score-difference": (place) => spread(place, "score"),
  }[state.sort || (state.set.rows ? "score-difference" : "")];
  const places = [...data.prompts.keys()].filter(passes);
  if (!rank) return places;
  const ranks = new Map(places.map((place) => [place, rank(place)]));
  return places.sort((one, other) => ranks.get(other) - ranks.get(one) || one - other);
}
