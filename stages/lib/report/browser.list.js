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
  const prompt = startOf(users.find((user) => user.trim()));
  const reply = repliesAt(place).map((each) => startOf(plain(each?.turns[0]?.html?.slice(0, 400)))).find(Boolean);
  const top = make("span", { dir: "auto", className: prompt ? "" : "reply-start" }, prompt || `… ${reply ?? key}`);
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
    ...(group === UNKNOWN ? [] : [isolated(group)]),
    ...(state.set.rows && turnsAt(place) === 1 ? [] : [count(turnsAt(place), "turn")]),
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
