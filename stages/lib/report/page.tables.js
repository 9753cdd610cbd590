// Tables are sorted by their headers, filtered and copied as CSV; charts are saved as files. Nothing is stored.
"use strict";

const FEW_ROWS = 8; // are read at a glance: no filter
const MISSING = /^(|[–-]|missing|none|n\/a|nothing in common)$/i;
const VERDICTS = ["better", "worse", "equivalent", "not decided"];
const SECONDS = { h: 3600, min: 60, s: 1 };

function make(name, properties, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

const squeeze = (text) => text.replace(/\s+/g, " ").trim();
const textOf = (nodes) => squeeze(nodes.map((node) => (node.nodeName === "BR" ? " " : node.textContent)).join(""));
const isSmall = (node) => node.nodeName === "SMALL";

/** The text of a cell, without what stands below it in small letters. */
const valueOf = (cell) => textOf([...cell.childNodes].filter((node) => !isSmall(node)));

/** What stands below the value of a cell, or is read by pointing at it. */
function detailsOf(cell) {
  const below = [...cell.childNodes].filter(isSmall).map((node) => textOf([...node.childNodes]));
  return [...below, ...(cell.matches("td[title]") ? [cell.title] : [])].join("; ");
}

/** The number that a text begins with, a duration in seconds; null without one. */
function numberOf(text) {
  const plain = text.replace(/[−–]/g, "-").replace(/,(?=\d{3})/g, "").replace(/^[×±<≠\s]+/, "");
  const parts = /^[\d.]+ (h|min|s)\b/.test(plain) ? [...plain.matchAll(/([\d.]+) (h|min|s)\b/g)] : [];
  if (parts.length) return parts.reduce((sum, [, amount, unit]) => sum + amount * SECONDS[unit], 0);
  const found = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?(?![\w.-])/i.exec(plain);
  return found ? Number(found[0]) : null;
}

// Sorting

/** The cell of a row in a column, where cells before it may span several. */
function cellAt(row, column) {
  let left = column;
  return [...row.cells].find((cell) => (left -= cell.colSpan) < 0);
}

/** What to sort a column by: numbers where most of its texts are, else the texts; null where one is missing. */
function keysOf(rows, column) {
  const texts = rows.map((row) => {
    const cell = cellAt(row, column);
    return cell && !MISSING.test(valueOf(cell)) ? valueOf(cell) : null;
  });
  const numbers = texts.map((text) => (text === null ? null : numberOf(text)));
  const known = texts.filter((text) => text !== null).length;
  const areNumbers = column > 0 && known > 0 && numbers.filter((number) => number !== null).length * 2 > known;
  return { areNumbers, keys: areNumbers ? numbers : texts };
}

/** The rows in the order of a column; what is missing comes last either way. */
function sortRows(rows, column, direction) {
  const { keys } = keysOf(rows, column);
  const byRow = new Map(rows.map((row, place) => [row, keys[place]]));
  const compare = (one, other) =>
    typeof one === "number" ? one - other : one.localeCompare(other, undefined, { numeric: true });
  return [...rows].sort((first, second) => {
    const [one, other] = [byRow.get(first), byRow.get(second)];
    if (one === null || other === null) return (one === null) - (other === null);
    return direction * compare(one, other);
  });
}

/** Let a header sort its column: numbers from the highest, texts from a; then the other way; then as it was. */
function makeSortable(table, rows) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    if (head.querySelector("a, button") || head.colSpan > 1 || !squeeze(head.textContent)) return;
    const button = make("button", { type: "button", className: "sort" }, ...head.childNodes);
    head.append(button);
    const first = keysOf(rows, column).areNumbers ? "descending" : "ascending";
    const next = { descending: first === "descending" ? "ascending" : "none", none: first };
    next.ascending = first === "ascending" ? "descending" : "none";
    button.addEventListener("click", () => {
      const order = next[head.ariaSort ?? "none"];
      for (const each of heads) each.removeAttribute("aria-sort");
      if (order !== "none") head.ariaSort = order;
      const sorted = order === "none" ? rows : sortRows(rows, column, order === "ascending" ? 1 : -1);
      table.tBodies[0].append(...sorted);
    });
  });
}

// Filtering

function makeFilter(rows) {
  const status = make("span", { role: "status", className: "quiet" });
  const field = make("input", { type: "search", dir: "auto", placeholder: `filter ${rows.length} rows`, autocomplete: "off" });
  field.ariaLabel = "Show only rows with these words";
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
    const shown = rows.filter((row) => !row.hidden).length;
    status.textContent = words.length ? `${shown} of ${rows.length} rows` : "";
  });
  return [field, status];
}

// CSV

const quote = (text) => (/[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** A value as other programs read it: a plain number where it is one, nothing where it is missing. */
function plainValue(text) {
  const plain = text.replace(/^−/, "-");
  if (/^[+-]?[\d,]*\.?\d+$/.test(plain)) return plain.replaceAll(",", "");
  return MISSING.test(text) ? "" : text;
}

/** The value and the details of a cell: “0.81 (0.76 to 0.85)” has its interval among the details. */
function splitCell(cell) {
  const [, value, inBrackets] = /^(\S+) \(([^()]*)\)$/.exec(valueOf(cell)) ?? [null, valueOf(cell), ""];
  return [plainValue(value), [inBrackets, detailsOf(cell)].filter(Boolean).join("; ")];
}

/** The name of a column, with its unit or the like in brackets. */
function nameOf(head) {
  const box = head.querySelector("button") ?? head;
  return [valueOf(box), detailsOf(box) && `(${detailsOf(box)})`].filter(Boolean).join(" ");
}

/** The whole table as CSV in its present order; the details of a column are a column after it. */
function toCsv(table) {
  const rows = [...table.tBodies].flatMap((body) => [...body.rows]);
  const heads = [...table.tHead.rows[0].cells].flatMap((head) => Array(head.colSpan).fill(nameOf(head)));
  const spread = (cell) => [splitCell(cell), ...Array(cell.colSpan - 1).fill(["", ""])];
  const cells = rows.map((row) => [...row.cells].flatMap(spread));
  const hasDetails = heads.map((_, column) => cells.some((row) => row[column]?.[1]));
  const lines = [heads.map((head) => [head, `${head}: details`]), ...cells];
  const fields = (line) => line.flatMap((pair, column) => pair.slice(0, hasDetails[column] ? 2 : 1));
  return lines.map((line) => fields(line).map(quote).join(",") + "\r\n").join("");
}

const slug = (text) => text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 60);

/** The name of a file for something on the page, such as rewild-demo-judge-2.csv. */
const fileName = (element, name, end) =>
  [document.title, element.closest("section")?.id ?? "", name].map(slug).filter(Boolean).join("-") + end;

const addressOf = (text, type) => URL.createObjectURL(new Blob([text], { type }));

/** Copy a table; where the browser refuses, as some do for files on the disk, save it. */
function makeCopy(table, name) {
  const button = make("button", { type: "button" }, "copy as CSV");
  const status = make("span", { role: "status", className: "quiet" });
  button.addEventListener("click", async () => {
    const csv = toCsv(table);
    try {
      await navigator.clipboard.writeText(csv);
      status.textContent = "copied";
    } catch {
      const file = fileName(table, name, ".csv");
      make("a", { href: addressOf("\ufeff" + csv, "text/csv"), download: file }).click();
      status.textContent = `not allowed to copy here: saved as ${file}`;
    }
    setTimeout(() => (status.textContent = ""), 6000);
  });
  return [status, button];
}

// Boxes that scroll

/** Show by a shadow on which sides a box goes on, and let the keyboard scroll it only if it does. */
function showEdges(box) {
  const frame = make("div", { className: "frame" });
  box.replaceWith(frame);
  frame.append(box);
  const update = () => {
    const right = box.scrollWidth - box.clientWidth - box.scrollLeft > 2;
    const below = box.scrollHeight - box.clientHeight - box.scrollTop > 2;
    frame.classList.toggle("more-right", right);
    frame.classList.toggle("more-below", below);
    box.tabIndex = right || below || box.scrollLeft || box.scrollTop ? 0 : -1;
  };
  box.addEventListener("scroll", update, { passive: true });
  const observer = new ResizeObserver(update);
  observer.observe(box);
  observer.observe(box.firstElementChild);
}

function nameBox(box) {
  const before = box.previousElementSibling?.matches("p") ? box.previousElementSibling : null;
  const title = before ?? box.closest("section")?.querySelector("h2");
  box.role = "region";
  box.ariaLabel = squeeze(title?.textContent ?? "Table").slice(0, 120);
}

// Matrices

/** Say below the scale which pair a pointer or a tap is on. */
function readCells(table, place) {
  const heads = [...table.tHead.rows[0].cells];
  const namesOf = (cell) => [cell.parentElement.cells[0], heads[cell.cellIndex]].map((head) => squeeze(head.textContent));
  table.addEventListener("pointerover", ({ target }) => {
    const cell = target.closest("td");
    if (!cell || !valueOf(cell)) return;
    const verdict = VERDICTS.find((name) => cell.classList.contains(name.replace(" ", "-")));
    const what = [valueOf(cell), verdict, detailsOf(cell)].filter(Boolean).join("; ");
    place.textContent = `${namesOf(cell).join(` ${table.dataset.between} `)}: ${what}`;
  });
  table.addEventListener("click", ({ target }) => {
    const cell = target.closest(".dense [data-set] td");
    if (!cell || !valueOf(cell)) return;
    const [left, right] = namesOf(cell);
    location.href = "conversations.html#" + new URLSearchParams({ set: table.dataset.set, left, right });
  });
}

// Charts

function offerChart(figure) {
  const svg = figure.querySelector("svg");
  const title = svg?.querySelector("title")?.textContent ?? "chart";
  const link = make("a", { href: "#", download: fileName(figure, title, ".svg"), className: "save" }, "SVG");
  link.ariaLabel = `Save the chart as SVG: ${title}`;
  const fill = () => {
    if (link.protocol === "blob:") return;
    link.href = addressOf(new XMLSerializer().serializeToString(svg), "image/svg+xml");
  };
  for (const event of ["pointerenter", "focus", "click"]) link.addEventListener(event, fill);
  if (svg) figure.append(link);
}

for (const [place, table] of [...document.querySelectorAll(".scroll > table")].entries()) {
  const rows = [...table.tBodies].flatMap((body) => [...body.rows]);
  const isOneBody = table.tBodies.length === 1 && rows.length > 1;
  const tools = make("div", { className: "tools" });
  if (isOneBody) makeSortable(table, rows);
  if (isOneBody && rows.length > FEW_ROWS) tools.append(...makeFilter(rows));
  tools.append(...makeCopy(table, String(place + 1)));
  nameBox(table.parentElement);
  const heat = table.closest(".heat");
  if (heat) heat.querySelector(".scale").after(tools);
  else table.parentElement.before(tools);
  const readout = heat?.querySelector(".readout");
  if (readout) readCells(table, readout);
}
for (const box of document.querySelectorAll(".scroll, figure.wide > div")) showEdges(box);
for (const figure of document.querySelectorAll("figure")) offerChart(figure);
