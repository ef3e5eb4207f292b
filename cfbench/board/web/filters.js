// Which rows are shown, and in which order.

const inTask = () => (state.task === "all" || state.view === "overview" ? data.rows : (rowsOf.get(state.task) ?? []));

const taskOrder = (row) => [...tasks.keys()].indexOf(row.task);

const byRank = (one, other) =>
  taskOrder(one) - taskOrder(other) ||
  statusOrder(one) - statusOrder(other) ||
  (own(one.rank, 0) ?? Infinity) - (own(other.rank, 0) ?? Infinity) ||
  (own(one.rank, 1) ?? Infinity) - (own(other.rank, 1) ?? Infinity) ||
  (own(other.scores, HEADLINE)?.value ?? -1) - (own(one.scores, HEADLINE)?.value ?? -1) ||
  one.label.localeCompare(other.label);

function found(row) {
  const text = [row.label, row.method, row.family, row.track, row.access, row.citation, row.submission?.author];
  const words = state.search.toLowerCase().split(/\s+/);
  const all = text.join(" ").toLowerCase();
  return words.every((word) => all.includes(word));
}

// Reference rows stay whatever family, track or verification is asked for: they are the scale of the others.
function matches(row) {
  if (state.status && row.status !== state.status) return false;
  if (!found(row)) return false;
  if (row.status === "reference") return true;
  if (state.family && row.family !== state.family) return false;
  if (state.track && row.track !== state.track) return false;
  if (state.access && row.access !== state.access) return false;
  return !state.verified || row.verified === (state.verified === "yes");
}

function compare(one, other) {
  if (one === other) return 0;
  return typeof one === "string" ? one.localeCompare(other) : one < other ? -1 : 1;
}

function bestFirst(column) {
  return column.direction === "higher" ? "descending" : "ascending";
}

function sortedBy() {
  const column = columns.get(state.sort) ?? columns.get("rank");
  const order = ["ascending", "descending"].includes(state.order) ? state.order : bestFirst(column);
  return [column, order];
}

function shownRows() {
  const kept = inTask().filter(matches).toSorted(byRank);
  const [column, order] = sortedBy();
  if (column.id === "rank" && order === "ascending") return kept;
  const sign = order === "ascending" ? 1 : -1;
  const given = isGiven(column);
  return kept.toSorted((one, other) => {
    if (!given(one) || !given(other)) return given(other) - given(one);
    return sign * compare(column.value(one), column.value(other));
  });
}

function sortBy(column) {
  const [current, order] = sortedBy();
  const turned = order === "ascending" ? "descending" : "ascending";
  const next = column === current ? turned : bestFirst(column);
  change({ sort: column.id, order: next === bestFirst(column) ? "" : next });
}

function choices(select, label, values) {
  const name = select.dataset.state;
  replace(select, option("", label, state[name]), ...values.map(([value, text]) => option(value, text, state[name])));
  select.value = state[name];
}

function renderFilters() {
  const present = (key) => [...new Set(inTask().map((row) => row[key]))].filter(Boolean).toSorted();
  const select = (name) => document.querySelector(`select[data-state=${name}]`);
  choices(
    select("family"),
    "All families",
    present("family").map((value) => [value, value]),
  );
  choices(
    select("track"),
    "All tracks",
    present("track").map((value) => [value, value]),
  );
  choices(
    select("access"),
    "Any access",
    present("access").map((value) => [value, value]),
  );
  choices(select("status"), "Any status", Object.entries(STATUSES));
  choices(select("verified"), "Verified or not", [
    ["yes", "Verified"],
    ["no", "Not verified"],
  ]);
  const search = document.querySelector("input[data-state=search]");
  if (search.value !== state.search) search.value = state.search;
  const shown = inTask().filter(matches).length;
  document.getElementById("count").textContent = `${count(shown)} of ${plural(inTask().length, "row")}`;
  document.getElementById("reset").hidden = !FILTERS.some((name) => state[name]);
}
