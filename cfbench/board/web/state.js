// What the page shows, kept in the address after the # so that every view is a permalink.

const VIEWS = ["ranking", "overview", "gallery", "compare", "about"];

const DEFAULTS = {
  task: data.tasks[0]?.id ?? "",
  view: "ranking",
  search: "",
  family: "",
  track: "",
  access: "",
  status: "",
  verified: "",
  sort: "rank",
  order: "",
  columns: "",
  x: "",
  y: "",
  a: "",
  b: "",
  card: "",
  pick: "",
  pictures: "both",
  score: "",
  by: "",
};
const FILTERS = ["search", "family", "track", "access", "status", "verified"];
const LEAVES_A_STEP = ["task", "view", "card"];

const state = { ...DEFAULTS };

function readAddress() {
  Object.assign(state, DEFAULTS);
  for (const [name, value] of new URLSearchParams(location.hash.slice(1))) {
    if (Object.hasOwn(DEFAULTS, name)) state[name] = value;
  }
  if (!tasks.has(state.task) && state.task !== "all") state.task = DEFAULTS.task;
  if (!VIEWS.includes(state.view)) state.view = DEFAULTS.view;
  for (const name of ["card", "a", "b", "pick"]) if (!rows.has(state[name])) state[name] = "";
}

function address() {
  const parts = Object.entries(state).filter(([name, value]) => value !== DEFAULTS[name]);
  return `#${new URLSearchParams(parts)}`;
}

// Change the state, the address and the page. A new task, view or card can be left with the browser's back button.
function change(values) {
  if ("task" in values && values.task !== state.task) values = { a: "", b: "", pick: "", ...values };
  const step = LEAVES_A_STEP.some((name) => name in values && values[name] !== state[name]);
  Object.assign(state, values);
  history[step ? "pushState" : "replaceState"](null, "", address());
  render();
}

for (const event of ["popstate", "hashchange"]) {
  addEventListener(event, () => {
    if (address() === (location.hash || "#")) return;
    readAddress();
    render();
  });
}
