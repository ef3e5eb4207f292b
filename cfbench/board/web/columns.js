// The columns of the ranking: what each says of a row, and which way it is better.

const HEADLINE = data.rules.headline;

const COSTS = {
  seconds: ["Seconds", "Seconds a query, without the setup."],
  setup_seconds: ["Setup", "Seconds before the first query, once a run."],
  forwards: ["Forwards", "Images that went forwards through the classifier, a query."],
  backwards: ["Backwards", "Images whose gradient came back through the classifier, a query."],
  generated: ["Generated", "Images that went through networks handed to the method beside the classifier, a query."],
  peak_mb: ["Peak MB", "Greatest memory of the run, in megabytes."],
};

const columns = new Map();

function addColumn(id, column) {
  columns.set(id, { id, direction: "lower", ...column });
}

addColumn("rank", {
  label: "Rank",
  family: "",
  definition:
    "Places that the row can have, given which rows are significantly better and worse (paired tests on shared queries, Holm-corrected). A line parts the groups.",
  value: (row) => own(row.rank, 0),
});
addColumn("method", {
  label: "Method",
  family: "",
  definition: "Its name, with the parameters that differ from the defaults. The name opens the method's card.",
  value: (row) => row.label.toLowerCase(),
});

if (metrics.has(HEADLINE)) addMetric(HEADLINE, metrics.get(HEADLINE));
addColumn("aggregate", {
  label: capital(data.rules.aggregate.label),
  family: "validity",
  direction: "higher",
  definition: data.rules.aggregate.definition,
  unit: data.rules.aggregate.unit,
  score: (row) => row.aggregate,
  value: (row) => row.aggregate?.value,
});
for (const [name, metric] of metrics) if (name !== HEADLINE) addMetric(name, metric);

function addMetric(name, metric) {
  addColumn(name, {
    label: capital(metric.label),
    family: metric.family,
    direction: metric.direction === "higher" ? "higher" : "lower",
    definition: metric.definition,
    fooled: metric.how_fooled,
    unit: metric.unit,
    score: (row) => own(row.scores, name),
    value: (row) => own(row.scores, name)?.value,
    reported: (row) => own(row.reported, name),
  });
}

for (const [name, [label, definition]] of Object.entries(COSTS)) {
  if (metrics.has(name)) continue;
  addColumn(`cost-${name}`, { label, family: "cost", definition, value: (row) => own(row.cost, name) });
}
addColumn("n", {
  label: "Queries",
  family: "run",
  direction: "higher",
  definition:
    "Queries that the scores are over, and seeds where there are several. Failed queries stay in every score.",
  value: (row) => row.n,
});

const measured = [...columns.values()].filter((column) => column.score || column.family === "cost");

const isGiven = (column) => (row) => column.value(row) !== null && column.value(row) !== undefined;

// Columns with a number in the task.
const givenColumns = () => [...columns.values()].filter((column) => column.family && inTask().some(isGiven(column)));

// Columns shown where the reader has not chosen: the headline, the aggregate, the first of each family, time and size.
function defaultColumns() {
  const given = givenColumns();
  const others = given.filter(
    (column) => column.id !== HEADLINE && column.id !== "aggregate" && column.family !== "cost",
  );
  const firsts = [...Map.groupBy(others, (column) => column.family).values()].map(([first]) => first.id);
  return new Set([HEADLINE, "aggregate", ...firsts, "cost-seconds"]);
}

function visibleColumns() {
  const chosen = state.columns ? new Set(state.columns.split(",")) : defaultColumns();
  return [...columns.values()].filter((column) => !column.family || chosen.has(column.id));
}

function columnTip(column) {
  const parts = [h("strong", {}, column.label), h("p", {}, column.definition)];
  if (column.fooled) parts.push(h("p", {}, column.fooled));
  const facts = [column.unit, column.family && better(column.direction)].filter(Boolean);
  if (facts.length) parts.push(h("p", { class: "faint" }, facts.join(" · ")));
  return parts;
}
