// What every method made of the same queries.

function renderGallery() {
  const task = tasks.get(state.task);
  const holder = document.getElementById("pictures");
  const why = noPictures(task);
  const controls = document.getElementById("gallery-controls");
  controls.hidden = Boolean(why);
  if (why) return replace(holder, h("p", { class: "notice" }, why));
  const select = controls.querySelector("select");
  select.value = ["both", "counterfactual", "difference"].includes(state.pictures) ? state.pictures : "both";
  const kinds = select.value === "both" ? ["counterfactual", "difference"] : [select.value];
  const shown = shownRows().filter((row) => isPicture(row.gallery));
  replace(
    holder,
    h(
      "table",
      { class: "gallery" },
      h(
        "caption",
        { class: "hidden" },
        `Counterfactuals of ${plural(shown.length, "method")} for the same queries of ${taskName(task)}`,
      ),
      queryHeader(task, "Method"),
      shown.map((row) =>
        h(
          "tbody",
          { class: "strip" },
          kinds.map((kind, index) => pictureRow(row, task, kind, index === 0 ? kinds.length : 0)),
        ),
      ),
    ),
  );
}

function noPictures(task) {
  if (!task) return "Choose one task to see its pictures.";
  if (!task.gallery)
    return "The pictures of this data set may not be published. Whoever has a copy of it makes them with cfbench evaluate.";
  if (!shownRows().some((row) => isPicture(row.gallery))) return "None of the rows shown has pictures.";
  return "";
}

function pictureRow(row, task, kind, span) {
  const open = { type: "button", class: "name", "data-key": `card ${row.id}`, onclick: () => change({ card: row.id }) };
  const headline = columns.get(HEADLINE);
  const score = headline ? `${headline.label} ${number(headline.value(row))}` : "";
  const place = row.rank ? `Rank ${range(row.rank)}` : statusOf(row)[0];
  const name = h(
    "th",
    { scope: "rowgroup", rowspan: span, class: "method" },
    h("button", open, row.label),
    h("small", {}, place),
    h("small", {}, score),
  );
  return h("tr", { class: kind }, span ? name : null, pictureCells(row, task, kind));
}
