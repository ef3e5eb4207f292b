// The task in words above the views, and the definitions of all metrics.

function renderTask() {
  const task = tasks.get(state.task);
  const select = document.querySelector("select[data-state=task]");
  replace(
    select,
    ...data.tasks.map((each) => option(each.id, taskName(each), state.task)),
    option("all", "All tasks", state.task),
  );
  select.value = state.task;
  const holder = document.getElementById("task-facts");
  if (!task) return replace(holder, h("p", { class: "faint" }, "Ranks hold within a task only."));
  const judges = Object.entries(task.judges ?? {}).map(([name, hash]) => h("li", {}, `${name} `, h("code", {}, hash)));
  const entries = [
    ["Queries", `${count(task.n)} (${task.split})`],
    ["Targets", task.rule],
    ["Explained", task.classifier],
    ["Classes", task.classes.length],
    ["Image", task.image_shape?.join(" × ")],
    ["Split version", h("code", {}, short(task.split_hash))],
    ["Licence", task.licence],
  ];
  replace(
    holder,
    h(
      "dl",
      { class: "facts" },
      entries.filter(([, value]) => value).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
    ),
    h(
      "details",
      {},
      h("summary", {}, "More on this task"),
      task.citation ? h("p", {}, linked(task.citation)) : null,
      task.classes.length ? h("p", {}, `Classes: ${task.classes.join(", ")}.`) : null,
      judges.length ? h("p", {}, "Networks, with the first digits of their hashes:") : null,
      h("ul", { class: "judges" }, judges),
    ),
  );
}

function renderAbout() {
  const said = {
    ranking: data.rules.ranking,
    pareto: data.rules.pareto_text,
    aggregate: data.rules.aggregate.definition,
  };
  for (const [name, text] of Object.entries(said)) document.getElementById(`about-${name}`).textContent = text;
  document.getElementById("about-aggregate-label").textContent = capital(data.rules.aggregate.label);
  const line = ([name, metric]) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, metric.label, h("small", {}, h("code", {}, name))),
      h("td", {}, metric.family),
      h("td", {}, `${arrow(metric.direction)} ${metric.direction}`),
      h("td", {}, metric.unit),
      h(
        "td",
        {},
        h("p", {}, metric.definition),
        metric.how_fooled ? h("p", { class: "faint" }, metric.how_fooled) : null,
      ),
    );
  replace(
    document.getElementById("definitions"),
    h("caption", { class: "hidden" }, "Definitions of the metrics"),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        ["Metric", "Family", "Better", "Unit", "Definition, and how it is fooled"].map((name) =>
          h("th", { scope: "col" }, name),
        ),
      ),
    ),
    h("tbody", {}, [...metrics].map(line)),
  );
}
