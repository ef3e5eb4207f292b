// Controls, theme, and drawing it all from the state.

const RENDERERS = {
  ranking: () => [renderTable(), renderPlot(), light(state.pick)],
  overview: renderOverview,
  gallery: renderGallery,
  compare: renderComparison,
  about: renderAbout,
};

function render() {
  hideTip();
  renderTask();
  renderFilters();
  renderColumnChoice();
  for (const view of VIEWS) document.getElementById(`view-${view}`).hidden = view !== state.view;
  for (const button of document.querySelectorAll("nav button")) {
    if (button.dataset.view === state.view) button.setAttribute("aria-current", "page");
    else button.removeAttribute("aria-current");
  }
  document.getElementById("task").hidden = ["about", "overview"].includes(state.view);
  document.getElementById("filters").hidden = !["ranking", "overview", "gallery"].includes(state.view);
  document.getElementById("tools").hidden = state.view !== "ranking";
  const compared = [state.a, state.b].filter(Boolean).length;
  document.getElementById("comparing").hidden = compared < 2;
  RENDERERS[state.view]();
  renderCard();
}

function renderColumnChoice() {
  const chosen = new Set(visibleColumns().map((column) => column.id));
  const groups = Map.groupBy(givenColumns(), (column) => column.family);
  const box = (column) =>
    h(
      "label",
      {},
      h("input", {
        type: "checkbox",
        checked: chosen.has(column.id),
        "data-key": `column ${column.id}`,
        onchange: (event) => {
          chosen[event.target.checked ? "add" : "delete"](column.id);
          change({ columns: [...columns.keys()].filter((id) => chosen.has(id)).join(",") });
        },
      }),
      column.label,
    );
  replace(
    document.getElementById("column-choice"),
    ...[...groups].map(([family, group]) => h("fieldset", {}, h("legend", {}, family), group.map(box))),
    h("button", { type: "button", class: "action", onclick: () => change({ columns: "" }) }, "Default columns"),
  );
}

for (const control of document.querySelectorAll("select[data-state]")) {
  control.addEventListener("change", () => change({ [control.dataset.state]: control.value }));
}
document
  .querySelector("input[data-state=search]")
  .addEventListener("input", (event) => change({ search: event.target.value }));
document
  .getElementById("reset")
  .addEventListener("click", () => change(Object.fromEntries(FILTERS.map((name) => [name, ""]))));
document.getElementById("comparing").addEventListener("click", () => change({ view: "compare" }));
document.getElementById("swap").addEventListener("click", () => {
  const [one, other] = ["a", "b"].map(
    (name) => document.querySelector(`#compare-controls select[data-state=${name}]`).value,
  );
  change({ a: other, b: one });
});
for (const button of document.querySelectorAll("nav button")) {
  button.addEventListener("click", () => change({ view: button.dataset.view }));
}

const ranking = document.getElementById("view-ranking");
const rowOf = (event) => event.target.closest("[data-row]")?.dataset.row;
for (const event of ["pointerover", "focusin"]) ranking.addEventListener(event, (each) => light(rowOf(each)));
for (const event of ["pointerleave", "focusout"]) ranking.addEventListener(event, () => light(state.pick));

const themes = document.querySelectorAll("input[name=theme]");
function useTheme(name) {
  if (name === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  for (const each of themes) each.checked = each.value === name;
}
function remembered() {
  try {
    return localStorage.getItem("cfbench-theme");
  } catch {
    return null;
  }
}
for (const each of themes) {
  each.addEventListener("change", () => {
    useTheme(each.value);
    try {
      localStorage.setItem("cfbench-theme", each.value);
    } catch {
      // no storage here: the choice holds until the page is left
    }
  });
}
useTheme(["light", "dark"].includes(remembered()) ? remembered() : "auto");

document.getElementById("scale").append(colourScale());
document.getElementById("built").textContent = `cfbench ${data.cfbench}, built ${data.built}`;
document.getElementById("counts").textContent =
  `${plural(new Set(data.rows.map((row) => row.method)).size, "method")} on ${plural(data.tasks.length, "task")}`;

let width = 0;
new ResizeObserver(([entry]) => {
  if (entry.contentRect.width === width || state.view !== "ranking") return;
  width = entry.contentRect.width;
  renderPlot();
}).observe(document.querySelector("#plot .drawing"));

document.getElementById("more-filters").open = innerWidth > 760;

readAddress();
if (data.rows.length) render();
document.getElementById("empty").hidden = data.rows.length > 0;
document.getElementById("board").hidden = data.rows.length === 0;
document.documentElement.dataset.ready = "";
performance.mark("ready");
