// The rows shown, as CSV or JSON.

function save(text, type, name) {
  const anchor = document.createElement("a");
  anchor.href = URL.createObjectURL(new Blob([text], { type }));
  anchor.download = name;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), 1000);
}

// A field of a CSV file; text that a spreadsheet would take for a formula gets an apostrophe in front.
function field(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function csv(kept) {
  const scored = measured.filter((column) => column.score);
  const costed = measured.filter((column) => !column.score);
  const plain = ["task", "method", "label", "family", "track", "access", "status", "verified", "seeds", "n", "failed"];
  const head = [...plain, "rank_low", "rank_high", "group", "pareto"];
  for (const { id } of scored) head.push(id, `${id}_low`, `${id}_high`, `${id}_paper`);
  head.push(...costed.map(({ id }) => id.replace("cost-", "cost_")), "parameters", "citation");
  const lines = kept.map((row) => [
    ...plain.map((name) => row[name]),
    own(row.rank, 0),
    own(row.rank, 1),
    row.group,
    row.pareto,
    ...scored.flatMap((column) => {
      const score = column.score(row);
      return [score?.value, score?.low, score?.high, column.reported?.(row)?.value];
    }),
    ...costed.map((column) => column.value(row)),
    JSON.stringify(row.parameters),
    row.citation,
  ]);
  return [head, ...lines].map((line) => line.map(field).join(",")).join("\r\n") + "\r\n";
}

const fileName = () => `cfbench-${state.task.replace(/[^\w@.-]+/g, "-").slice(0, 60)}`;

document.getElementById("csv").addEventListener("click", () => save(csv(shownRows()), "text/csv", `${fileName()}.csv`));
document.getElementById("json").addEventListener("click", () => {
  const kept = shownRows().map(({ gallery, ...row }) => row);
  const used = new Set(kept.map((row) => row.task));
  const described = data.tasks.filter((task) => used.has(task.id)).map(({ gallery, ...task }) => task);
  save(JSON.stringify({ ...data, tasks: described, rows: kept }, null, 2), "application/json", `${fileName()}.json`);
});
