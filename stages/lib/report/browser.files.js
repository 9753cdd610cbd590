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
    script.onload = fail("is damaged"); // has no effect when the rows have arrived
    script.onerror = fail("is not there");
    document.head.append(script);
  });
}

function preparePrompts(rows) {
  for (const row of rows) {
    row.group ||= UNKNOWN;
    row.text = [row.system ?? "", ...row.users, row.target ?? ""].join("\n").toLowerCase();
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

/** Load the prompts, the replies of each side, and the choices between the two. */
async function load({ set, left, right }) {
  const numbers = [left, right].filter(Boolean).map((model) => set.models.indexOf(model) + 1);
  const pair = [...numbers].sort((a, b) => a - b).join("-");
  const has = set.pairs.some((each) => each.join("-") === pair);
  const [prompts, choices, ...sides] = await Promise.all([
    read(`${set.files}-0`, preparePrompts),
    has ? read(`${set.files}-${pair}`, prepareChoices) : new Map(),
    ...numbers.map((each) => read(`${set.files}-${each}`, prepareReplies)),
  ]);
  const isScored = sides.some((side) => side.some((reply) => reply.score !== null));
  return { prompts, choices, numbers, sides, isScored };
}
