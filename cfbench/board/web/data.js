// The board's data, and how its numbers are written. Every string in it may be hostile: it is only ever shown as text.

const data = JSON.parse(document.getElementById("data").textContent);

const tasks = new Map(data.tasks.map((task) => [task.id, task]));
const rows = new Map(data.rows.map((row) => [row.id, row]));
const rowsOf = Map.groupBy(data.rows, (row) => row.task);
const metrics = new Map(Object.entries(data.metrics));

const own = (object, key) => (object && Object.hasOwn(object, key) ? object[key] : undefined);

const STATUSES = {
  ranked: "Ranked",
  adversarial: "Adversarial",
  unranked: "Unranked",
  partial: "Partial",
  reference: "Reference",
};
const statusOf = (row) => [
  own(STATUSES, row.status) ?? row.status,
  capital(own(data.rules.statuses, row.status) ?? ""),
];
const statusOrder = (row) => [...Object.keys(STATUSES), row.status].indexOf(row.status);

// Colours are by what a method was handed; reference rows are outside.
const TRACKS = ["data-free", "training-data", "generator-based", "black-box"];
const trackNumber = (row) => (row.status === "reference" ? 0 : TRACKS.indexOf(row.track) + 1);

function number(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString("en-US");
  if (size > 0 && size < 0.0001) return value.toExponential(1).replaceAll("-", "−");
  return (size === 0 ? "0" : String(size < 0.001 ? value.toPrecision(2) : value.toPrecision(3))).replace("-", "−");
}

const count = (value) => (value ?? 0).toLocaleString("en-US");
const plural = (amount, noun) => `${count(amount)} ${noun}${amount === 1 ? "" : "s"}`;

// The 95 % interval; one about a bias-corrected value says so.
function interval(score) {
  if (!Number.isFinite(score?.low) || !Number.isFinite(score?.high)) return "";
  const about = Number.isFinite(score.corrected) ? `≈${number(score.corrected)}, ` : "";
  return `${about}${number(score.low)}${score.low < 0 ? " to " : "–"}${number(score.high)}`;
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

const range = ([low, high]) => (low === high ? `${low}` : `${low}–${high}`);

const better = (direction) => (direction === "higher" ? "higher is better" : "lower is better");
const arrow = (direction) => (direction === "higher" ? "↑" : "↓");

const short = (hash) => String(hash ?? "").slice(0, 8);

// Networks behind a score, "name@hash name@hash", by name and the first digits of their hashes.
function networks(text) {
  const parts = text.split(" ").map((token) => token.split("@"));
  return parts.map(([name, hash]) => (hash === undefined ? short(name) : `${name} ${short(hash)}`)).join(", ");
}

// How a task is asked: its target rule, and the network explained and the split where they are not the usual ones.
const variant = (task) =>
  [task.rule, task.classifier === "classifier" ? "" : task.classifier, task.split === "test" ? "" : task.split].filter(
    Boolean,
  );

// A task as a reader knows it, with what tells it from others of the same title.
function taskName(task) {
  const alike = data.tasks.filter((other) => other.title === task.title);
  const key = alike.some((other) => other.task !== task.task) ? [task.task] : [];
  return [task.title, ...key, ...variant(task)].join(" · ");
}

// Names of the classes that a query had and was asked for.
const classNames = (task, key, position) => task.classes[task.gallery[key][position]] ?? task.gallery[key][position];
