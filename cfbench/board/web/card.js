// The card of a row: everything that the board knows of it.

const card = document.getElementById("card");
card.addEventListener("close", () => state.card && change({ card: "" }));
card.addEventListener("click", (event) => event.target === card && card.close());

function renderCard() {
  const row = rows.get(state.card);
  if (!row) return card.open && card.close();
  const task = tasks.get(row.task);
  card.replaceChildren(
    h(
      "article",
      {},
      h(
        "header",
        {},
        h("h2", { id: "card-title" }, row.label),
        h(
          "button",
          { type: "button", class: "close", "aria-label": "Close the card", onclick: () => card.close() },
          "×",
        ),
      ),
      h("p", { class: "chips" }, chips(row)),
      cardPictures(row, task),
      facts("Method", [
        ["Not ranked", row.rank ? null : row.reason || statusOf(row)[1]],
        ["Task", taskName(task)],
        ["Method", row.method],
        ["Family", row.family],
        ["Track", `${row.track}, by what the harness handed over`],
        ["Access", row.access],
        ["Citation", row.citation ? h("span", {}, linked(row.citation)) : null],
        ["Parameters", parameters(row.parameters)],
      ]),
      h("h3", {}, "Scores"),
      cardScores(row),
      facts("Cost (seconds and calls a query)", costs(row)),
      otherTasks(row),
      facts("Submission", submission(row)),
      facts(
        "Provenance",
        Object.entries(row.provenance ?? {}).map(([name, value]) => [
          name.replaceAll("_", " "),
          value === null ? null : h("code", {}, String(value)),
        ]),
      ),
      h(
        "p",
        {},
        h(
          "button",
          { type: "button", class: "action", onclick: () => compareWith(row) },
          "Compare with another method",
        ),
      ),
    ),
  );
  if (!card.open) card.showModal();
  card.scrollTop = 0;
}

function compareWith(row) {
  change({ card: "", view: "compare", task: row.task, a: row.id, b: state.b === row.id ? "" : state.b });
}

function chips(row) {
  const [label, explanation] = statusOf(row);
  const text = row.rank ? `Rank ${range(row.rank)}${row.group === null ? "" : `, group ${row.group}`}` : label;
  return [
    h("em", { class: "badge", tip: explanation || null }, text),
    h("em", { class: "badge" }, trackDot(row), row.track),
    badges(row),
  ];
}

function facts(title, entries) {
  const given = entries.filter(([, value]) => value !== null && value !== undefined && value !== "");
  if (!given.length) return "";
  return h(
    "section",
    {},
    h("h3", {}, title),
    h(
      "dl",
      {},
      given.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value instanceof Node ? value : String(value))]),
    ),
  );
}

function parameters(values) {
  const entries = Object.entries(values ?? {});
  if (!entries.length) return "none";
  return h(
    "span",
    { class: "parameters" },
    entries.map(([name, value]) =>
      h("code", {}, `${name} = ${typeof value === "string" ? value : JSON.stringify(value)}`),
    ),
  );
}

function cardScores(row) {
  const shown = measured.filter((column) => column.score?.(row));
  const head = ["Metric", "Value", "95 % interval", "Real images", "Paper", "n", "Version", "Networks"];
  const line = (column) => {
    const score = column.score(row);
    const reported = column.reported?.(row);
    return h(
      "tr",
      {},
      h(
        "th",
        { scope: "row", tip: () => columnTip(column) },
        column.label,
        "\u00a0",
        h("span", { class: "way", "aria-hidden": "true" }, arrow(column.direction)),
      ),
      h("td", { class: "number" }, number(score.value)),
      h("td", { class: "number" }, interval(score) || (score.reason ? h("small", {}, score.reason) : "–")),
      h("td", { class: "number" }, Number.isFinite(score.floor) ? number(score.floor) : ""),
      h("td", { class: "number" }, reported ? h("span", { tip: reported.source }, number(reported.value)) : ""),
      h("td", { class: "number" }, score.n === undefined ? "" : count(score.n)),
      h("td", { class: "number" }, score.version ?? ""),
      h("td", {}, score.network ? h("small", {}, networks(score.network)) : ""),
    );
  };
  const sources = Object.entries(row.reported ?? {}).map(([name, { source }]) =>
    h("li", {}, `${metrics.get(name)?.label ?? name}: `, linked(source)),
  );
  return h(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": `Scores of ${row.label}` },
    h(
      "table",
      { class: "scores" },
      h("caption", { class: "hidden" }, `Scores of ${row.label}`),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          head.map((name, index) => h("th", { scope: "col", class: index && index < 7 ? "number" : null }, name)),
        ),
      ),
      h("tbody", {}, shown.map(line)),
    ),
    sources.length ? h("ul", { class: "sources" }, sources) : null,
  );
}

function costs(row) {
  const given = Object.entries(COSTS).map(([name, [label]]) => [
    label,
    own(row.cost, name) === undefined || row.cost[name] === null ? null : number(row.cost[name]),
  ]);
  return [
    ...given,
    ["Device", own(row.cost, "device")],
    ["Queries", `${count(row.n)}${row.failed ? `, ${count(row.failed)} failed` : ""}`],
    ["Seeds", row.seeds],
  ];
}

function submission(row) {
  const { code, ...given } = row.submission ?? {};
  const entries = Object.entries(given).map(([name, value]) => [
    name.replaceAll("_", " "),
    typeof value === "string" ? h("span", {}, linked(value)) : JSON.stringify(value),
  ]);
  if (code) entries.push(["code", link(code, code)]);
  if (row.submission)
    entries.push(["verified", row.verified ? "yes: all scores were computed again from the images" : "no"]);
  return entries;
}

function cardPictures(row, task) {
  if (!task?.gallery || !isPicture(row.gallery)) return "";
  const named = (label, kind) =>
    h("tr", {}, h("th", { scope: "row", class: "method" }, label), pictureCells(row, task, kind));
  return h(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": `Pictures of ${row.label}` },
    h(
      "table",
      { class: "gallery" },
      h("caption", { class: "hidden" }, `Pictures of ${row.label}`),
      queryHeader(task, "Picture"),
      h("tbody", { class: "strip" }, named("Counterfactual", "counterfactual"), named("Difference", "difference")),
    ),
  );
}

function otherTasks(row) {
  const same = data.rows.filter((each) => each.label === row.label && each.id !== row.id);
  if (!same.length) return "";
  const headline = columns.get(HEADLINE);
  const line = (each) =>
    h(
      "tr",
      {},
      h(
        "th",
        { scope: "row" },
        h(
          "button",
          { type: "button", class: "name", onclick: () => change({ card: each.id, task: each.task }) },
          taskName(tasks.get(each.task)),
        ),
      ),
      h("td", {}, each.rank ? range(each.rank) : statusOf(each)[0]),
      headline ? h("td", { class: "number" }, number(headline.value(each))) : null,
      headline ? h("td", { class: "number" }, h("small", {}, interval(headline.score(each)))) : null,
    );
  return h(
    "section",
    {},
    h("h3", {}, "On other tasks"),
    h(
      "table",
      { class: "scores" },
      h("caption", { class: "hidden" }, `${row.label} on other tasks`),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "col" }, "Task"),
          h("th", { scope: "col" }, "Rank"),
          headline
            ? [
                h("th", { scope: "col", class: "number" }, headline.label),
                h("th", { scope: "col", class: "number" }, "95 % interval"),
              ]
            : null,
        ),
      ),
      h("tbody", {}, same.map(line)),
    ),
  );
}
