// The ranking as a table: by rank in sections of equal status (of a task where all are shown), else in one.

function renderTable() {
  const shown = visibleColumns();
  const kept = shownRows();
  const [sorted, order] = sortedBy();
  const caption = `${taskTitle()}: ${plural(kept.length, "row")}, sorted by ${sorted.label}, ${order}.`;
  replace(
    document.getElementById("table"),
    h("caption", { class: "hidden" }, caption),
    header(shown, sorted, order),
    ...(sorted.id === "rank"
      ? sections(kept, shown)
      : [
          h(
            "tbody",
            {},
            kept.map((row) => tableRow(row, shown)),
          ),
        ]),
  );
  document.getElementById("nothing").hidden = kept.length > 0;
}

const taskTitle = () => (tasks.has(state.task) ? taskName(tasks.get(state.task)) : "All tasks");
const extraColumns = () => (state.task === "all" ? 1 : hasExamples() ? 1 : 0);
const hasExamples = () => Boolean(tasks.get(state.task)?.gallery);

function header(shown, sorted, order) {
  const leading = shown.filter((column) => !column.family);
  const rest = shown.filter((column) => column.family);
  const families = [];
  for (const column of rest) {
    if (families.at(-1)?.[0] === column.family) families.at(-1)[1] += 1;
    else families.push([column.family, 1]);
  }
  const head = (column, rowspan) =>
    h(
      "th",
      {
        scope: "col",
        rowspan,
        class: column.id === "rank" || column.id === "method" ? column.id : "number",
        "aria-sort": column === sorted ? order : "none",
      },
      h(
        "button",
        {
          type: "button",
          "data-key": `sort ${column.id}`,
          tip: () => columnTip(column),
          onclick: () => sortBy(column),
        },
        h("span", {}, column.label),
        measured.includes(column)
          ? h("span", { class: "way", "aria-hidden": "true" }, `\u00a0${arrow(column.direction)}`)
          : null,
        measured.includes(column) ? h("span", { class: "hidden" }, `, ${better(column.direction)}`) : null,
        column === sorted
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
      h("th", { scope: "col", rowspan: 2, class: "pick" }, h("span", { class: "hidden" }, "Compare")),
      leading.map((column) => head(column, 2)),
      extraHeader(),
      families.map(([family, span]) => h("th", { scope: "colgroup", colspan: span, class: "family" }, family)),
    ),
    h(
      "tr",
      {},
      rest.map((column) => head(column)),
    ),
  );
}

function extraHeader() {
  if (state.task === "all") return h("th", { scope: "col", rowspan: 2 }, "Task");
  if (!hasExamples()) return null;
  return h(
    "th",
    { scope: "col", rowspan: 2, class: "examples" },
    h("span", {}, "Queries"),
    picture(tasks.get(state.task).gallery.queries, { alt: "the queries of the examples below" }),
  );
}

function sections(kept, shown) {
  const bodies = [];
  const all = state.task === "all";
  for (const group of Map.groupBy(kept, (row) => (all ? row.task : row.status)).values()) {
    const [label, explanation] = all ? [taskName(tasks.get(group[0].task)), ""] : statusOf(group[0]);
    const width = shown.length + 1 + extraColumns();
    const title = h(
      "th",
      { scope: "rowgroup", colspan: width },
      h("span", {}, label),
      " ",
      h("small", {}, explanation),
    );
    const head = all || group[0].status !== "ranked" ? h("tr", { class: "section" }, title) : null;
    bodies.push(h("tbody", {}, head, inGroups(group, shown)));
  }
  return bodies;
}

function inGroups(group, shown) {
  return group.map((row, index) => {
    const element = tableRow(row, shown);
    if (index && row.group !== group[index - 1].group) element.classList.add("parted");
    return element;
  });
}

function tableRow(row, shown) {
  const cells = shown.map((column) => {
    if (column.id === "rank") return rankCell(row);
    if (column.id === "method") return methodCell(row);
    return valueCell(row, column);
  });
  const extra =
    state.task === "all" ? h("td", {}, taskName(tasks.get(row.task))) : hasExamples() ? examples(row) : null;
  cells.splice(2, 0, extra);
  return h(
    "tr",
    { class: `row${row.status === "ranked" ? "" : " unranked"}`, "data-row": row.id },
    h("td", { class: "pick" }, comparisonBox(row)),
    cells,
  );
}

function comparisonBox(row) {
  const checked = state.a === row.id || state.b === row.id;
  return h("input", {
    type: "checkbox",
    checked,
    "aria-label": `Compare ${row.label}`,
    "data-key": `compare ${row.id}`,
    onchange: () => toggleCompared(row.id),
  });
}

// Two rows at most are compared: a third takes the place of the second.
function toggleCompared(id) {
  if (state.a === id) change({ a: state.b, b: "" });
  else if (state.b === id) change({ b: "" });
  else change(state.a ? { b: id } : { a: id });
}

function rankCell(row) {
  if (!row.rank)
    return h("td", { class: "rank", tip: row.reason || statusOf(row)[1] || null }, h("span", { class: "faint" }, "–"));
  const group = row.group === null ? null : h("small", {}, `group ${row.group}`);
  return h("td", { class: "rank" }, h("b", {}, range(row.rank)), group);
}

function methodCell(row) {
  const open = { type: "button", class: "name", "data-key": `card ${row.id}`, onclick: () => change({ card: row.id }) };
  return h(
    "th",
    { scope: "row", class: "method" },
    h("div", {}, h("button", open, row.label), " ", badges(row)),
    h("small", {}, trackDot(row), h("span", {}, row.family, h("span", { class: "track" }, ` · ${row.track}`))),
  );
}

const dot = (name) => h("i", { class: `dot ${name}`, "aria-hidden": "true" });
const trackDot = (row) => dot(`track-${trackNumber(row)}`);

function badges(row) {
  const made = [];
  if (row.pareto) made.push(h("em", { class: "badge", tip: data.rules.pareto_text }, "Pareto"));
  if (row.submission && row.verified) {
    const tip = "All scores were computed again from the submitted images, and match.";
    made.push(h("em", { class: "badge good", tip }, "✓", h("span", { class: "hidden" }, "verified")));
  }
  if (!row.verified) made.push(h("em", { class: "badge", tip: "Its scores were not computed again." }, "unverified"));
  return made;
}

function examples(row) {
  const source = row.gallery;
  const view = { alt: `first counterfactuals of ${row.label}`, loading: "lazy" };
  return h(
    "td",
    { class: "examples" },
    isPicture(source) ? picture(source, view) : h("span", { class: "faint" }, "none"),
  );
}

function valueCell(row, column) {
  if (column.id === "n") {
    const seeds = row.seeds > 1 ? `${row.seeds} seeds` : "";
    const failed = row.failed ? `${count(row.failed)} failed` : "";
    return h("td", { class: "number" }, count(row.n), h("small", {}, [seeds, failed].filter(Boolean).join(", ")));
  }
  const value = column.value(row);
  const score = column.score?.(row);
  const reported = column.reported?.(row);
  return h(
    "td",
    {
      class: `number${column.id === HEADLINE ? " headline" : ""}`,
      tip: score ? () => scoreTip(column, score, reported) : null,
    },
    column.id === HEADLINE && score ? whisker(score) : null,
    h("span", { class: value === null || value === undefined ? "faint" : "" }, number(value)),
    interval(score) ? h("small", {}, interval(score)) : null,
    reported ? h("small", { class: "reported" }, `paper ${number(reported.value)}`) : null,
  );
}

function scoreTip(column, score, reported) {
  const facts = [`n = ${count(score.n)}`];
  if (score.version !== undefined && score.version !== null) facts.push(`version ${score.version}`);
  if (score.network) facts.push(networks(score.network));
  const text = interval(score) ? `${number(score.value)}, 95 % interval ${interval(score)}` : number(score.value);
  return [
    h("strong", {}, column.label),
    h("p", {}, text),
    score.reason ? h("p", {}, capital(score.reason)) : null,
    Number.isFinite(score.floor) ? h("p", {}, `Real images score ${number(score.floor)}`) : null,
    reported ? h("p", {}, `Paper: ${number(reported.value)} (${reported.source})`) : null,
    h("p", { class: "faint" }, facts.join(" · ")),
  ].filter(Boolean);
}

// The interval drawn on the scale from 0 to 1.
function whisker(score) {
  const place = (value) => 2 + 56 * Math.min(1, Math.max(0, value));
  const has = interval(score) !== "";
  return svg(
    "svg",
    { class: "whisker", viewBox: "0 0 60 10", width: 60, height: 10, "aria-hidden": "true" },
    svg("line", { class: "scale", x1: 2, x2: 58, y1: 5, y2: 5 }),
    has ? svg("line", { class: "span", x1: place(score.low), x2: place(score.high), y1: 5, y2: 5 }) : null,
    Number.isFinite(score.value) ? svg("circle", { cx: place(score.value), cy: 5, r: 2.5 }) : null,
  );
}

// Light up everything that stands for a row: its line in the table and its point in the plot.
function light(id) {
  for (const element of document.querySelectorAll("[data-row]")) {
    element.classList.toggle("lit", element.dataset.row === id || element.dataset.row === state.pick);
  }
}
