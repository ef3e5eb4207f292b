// Two methods of a task side by side: scores, and pictures of the same queries.

function renderComparison() {
  const task = tasks.get(state.task);
  const holder = document.getElementById("comparison");
  const controls = document.getElementById("compare-controls");
  controls.hidden = !task;
  if (!task)
    return replace(holder, h("p", { class: "notice" }, "Choose one task: methods are compared on the same queries."));
  const candidates = inTask().toSorted(byRank);
  const one = candidates.find((row) => row.id === state.a) ?? candidates[0];
  const other = candidates.find((row) => row.id === state.b && row !== one) ?? candidates.find((row) => row !== one);
  for (const [name, row] of [
    ["a", one],
    ["b", other],
  ]) {
    const select = controls.querySelector(`select[data-state=${name}]`);
    replace(select, ...candidates.map((each) => option(each.id, each.label, row?.id)));
    if (row) select.value = row.id;
  }
  if (!other) return replace(holder, h("p", { class: "notice" }, "There is only one method to see."));
  replace(holder, comparedPictures(task, one, other), comparedScores(one, other));
}

function comparedScores(one, other) {
  const shown = [columns.get("rank"), ...measured, columns.get("n")].filter((column) =>
    [one, other].some(isGiven(column)),
  );
  const title = (row, name) => h("th", { scope: "col", class: "number" }, dot(`compared-${name}`), " ", row.label);
  return h(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": "Scores of the two methods" },
    h(
      "table",
      { class: "scores" },
      h("caption", { class: "hidden" }, `Scores of ${one.label} and ${other.label}`),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "col" }, "Score"),
          title(one, "a"),
          title(other, "b"),
          h("th", { scope: "col" }, "Intervals"),
        ),
      ),
      h(
        "tbody",
        {},
        shown.map((column) =>
          h(
            "tr",
            {},
            h(
              "th",
              { scope: "row", tip: () => columnTip(column) },
              column.label,
              "\u00a0",
              h(
                "span",
                { class: "way", "aria-hidden": "true" },
                measured.includes(column) ? arrow(column.direction) : "",
              ),
            ),
            comparedCell(one, column),
            comparedCell(other, column),
            h("td", {}, twoWhiskers(column, one, other)),
          ),
        ),
      ),
    ),
    h(
      "p",
      { class: "faint" },
      "Overlapping intervals do not tell whether two methods differ; the paired test behind the ranks does, and so does cfbench compare.",
    ),
  );
}

function comparedCell(row, column) {
  if (column.id === "rank") return h("td", { class: "number" }, row.rank ? range(row.rank) : "–");
  return valueCell(row, { ...column, id: column.id === HEADLINE ? "" : column.id });
}

function twoWhiskers(column, one, other) {
  const scores = [one, other].map(
    (row) =>
      column.score?.(row) ??
      (Number.isFinite(column.value(row)) && measured.includes(column) ? { value: column.value(row) } : null),
  );
  const ends = scores.flatMap((score) => (score ? [score.value, score.low, score.high] : [])).filter(Number.isFinite);
  if (!ends.length) return null;
  const [least, most] = [Math.min(...ends), Math.max(...ends)];
  const place = (value) => 6 + (148 * (value - least)) / (most - least || 1);
  return svg(
    "svg",
    { class: "whiskers", viewBox: "0 0 160 20", width: 160, height: 20, "aria-hidden": "true" },
    scores.map((score, index) => {
      if (!score || !Number.isFinite(score.value)) return null;
      const top = 5 + 10 * index;
      const name = `compared-${"ab"[index]}`;
      return svg(
        "g",
        { class: name },
        interval(score) ? svg("line", { x1: place(score.low), x2: place(score.high), y1: top, y2: top }) : null,
        svg("circle", { cx: place(score.value), cy: top, r: 3 }),
      );
    }),
  );
}

function comparedPictures(task, one, other) {
  if (!task.gallery) return h("p", { class: "notice" }, "The pictures of this data set may not be published.");
  const lines = (row, name) =>
    ["counterfactual", "difference"].map((kind) =>
      h(
        "tr",
        { class: kind },
        h(
          "th",
          { scope: "row", class: "method" },
          dot(`compared-${name}`),
          kind === "difference" ? "difference" : row.label,
        ),
        pictureCells(row, task, kind),
      ),
    );
  return h(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": "Pictures of the two methods" },
    h(
      "table",
      { class: "gallery" },
      h("caption", { class: "hidden" }, `Pictures of ${one.label} and ${other.label}`),
      queryHeader(task, "Method"),
      h("tbody", { class: "strip" }, lines(one, "a")),
      h("tbody", { class: "strip" }, lines(other, "b")),
    ),
    colourScale(),
  );
}
