// Every method on every task by one score, with its place among the methods of the task.

const SHADES = 6;

function renderOverview() {
  const column = measured.find((each) => each.id === state.score) ?? measured[0];
  const select = document.querySelector("select[data-state=score]");
  const given = measured.filter((each) => data.rows.some(isGiven(each)));
  replace(select, ...given.map((each) => option(each.id, each.label, column.id)));
  select.value = column.id;
  const lines = acrossTasks(column);
  const shades = new Map(data.tasks.map((task) => [task.id, shadesOf(task, lines, column)]));
  replace(
    document.getElementById("across"),
    h("caption", { class: "hidden" }, `${column.label} of ${plural(lines.length, "method")} on every task`),
    overviewHead(column),
    h(
      "tbody",
      {},
      lines.map((line) => overviewLine(line, column, shades)),
    ),
  );
  document.getElementById("none-across").hidden = lines.length > 0;
}

// A line a method with its parameters: its row on each task, and its median place.
function acrossTasks(column) {
  const groups = Map.groupBy(data.rows.filter(matches).toSorted(byRank), (row) => row.label);
  const lines = [...groups].map(([label, group]) => {
    const onTask = new Map(group.toReversed().map((row) => [row.task, row]));
    return { label, onTask, first: group[0], place: median([...onTask.values()].map(placeOf).filter(Number.isFinite)) };
  });
  const sign = column.direction === "higher" ? -1 : 1;
  const worth = (line) => {
    const row = line.onTask.get(state.by);
    return row && isGiven(column)(row) ? sign * column.value(row) : Infinity;
  };
  const place = (line) => line.place ?? Infinity;
  return lines.toSorted(
    (one, other) =>
      compare(worth(one), worth(other)) || compare(place(one), place(other)) || one.label.localeCompare(other.label),
  );
}

// The middle of the places that a row can have; who convinces no better than the attack stands behind all who do.
function placeOf(row) {
  if (row.rank) return (row.rank[0] + row.rank[1]) / 2;
  return row.status === "adversarial" ? rowsOf.get(row.task).filter((other) => other.rank).length + 1 : null;
}

function median(values) {
  if (!values.length) return null;
  const sorted = values.toSorted((one, other) => one - other);
  const half = sorted.length / 2;
  return (sorted[Math.ceil(half) - 1] + sorted[Math.floor(half)]) / 2;
}

// How far a value of the task is from the worst to the best of those shown, in steps; references have none.
function shadesOf(task, lines, column) {
  const shown = lines.map((line) => line.onTask.get(task.id)).filter((row) => row && row.status !== "reference");
  const values = shown.filter(isGiven(column)).map(column.value);
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return (row) => {
    if (row.status === "reference" || !isGiven(column)(row) || most === least) return 0;
    const share = (column.value(row) - least) / (most - least);
    return Math.round((SHADES - 1) * (column.direction === "higher" ? share : 1 - share));
  };
}

const PLACE =
  "Median of a method's places over the tasks it was run on: in each the middle of the places that tests leave open, " +
  "and behind all ranked methods for one that convinces no better than the attack. Ranks are tested within a task " +
  "only; this is a summary and no test.";

function overviewHead(column) {
  const sorted = tasks.has(state.by) ? state.by : "";
  const order = sorted ? bestFirst(column) : "ascending";
  const head = (by, label, tip) =>
    h(
      "th",
      { scope: "col", class: "number", "aria-sort": by === sorted ? order : "none" },
      h(
        "button",
        { type: "button", "data-key": `by ${by}`, tip, onclick: () => change({ by }) },
        label,
        by === sorted
          ? h("span", { class: "order", "aria-hidden": "true" }, order === "ascending" ? "\u00a0▲" : "\u00a0▼")
          : null,
      ),
    );
  return h(
    "thead",
    {},
    h(
      "tr",
      {},
      h("th", { scope: "col", class: "method" }, "Method"),
      head("", "Median place", () => h("p", {}, PLACE)),
      data.tasks.map((task) =>
        head(task.id, [task.title, h("small", {}, [task.task, ...variant(task)].join(" · "))], () => [
          h("strong", {}, taskName(task)),
          h("p", {}, `${count(task.n)} queries`),
        ]),
      ),
    ),
  );
}

function overviewLine(line, column, shades) {
  const open = () => change({ card: line.first.id });
  const name = h(
    "button",
    { type: "button", class: "name", "data-key": `line ${line.label}`, onclick: open },
    line.label,
  );
  return h(
    "tr",
    { class: "row" },
    h(
      "th",
      { scope: "row", class: "method" },
      name,
      h("small", {}, trackDot(line.first), h("span", {}, line.first.family)),
    ),
    h(
      "td",
      { class: "number" },
      line.place === null ? h("span", { class: "faint" }, "–") : h("b", {}, number(line.place)),
      h("small", {}, plural(line.onTask.size, "task")),
    ),
    data.tasks.map((task) => overviewCell(line.onTask.get(task.id), task, column, shades.get(task.id))),
  );
}

function overviewCell(row, task, column, shade) {
  if (!row) return h("td", { class: "number faint" }, "");
  const open = {
    type: "button",
    "data-key": `cell ${row.id}`,
    "aria-label": `${row.label} on ${taskName(task)}: ${number(column.value(row))}`,
    onclick: () => change({ task: row.task, view: "ranking", pick: row.id }),
  };
  const score = column.score?.(row);
  return h(
    "td",
    { class: `number shade-${shade(row)}`, tip: score ? () => scoreTip(column, score, column.reported?.(row)) : null },
    h("button", open, number(column.value(row))),
    h("small", {}, row.rank ? `rank ${range(row.rank)}` : statusOf(row)[0].toLowerCase()),
  );
}
