// Two columns against each other: every row a point, with the front of those that no ranked row beats in both.

const frame = { width: 440, height: 380, left: 52, right: 14, top: 14, bottom: 44 };

const isPlotted = (column, row) => Number.isFinite(column.value(row));

function axes() {
  const named = (id) => measured.find((column) => column.id === id);
  const near = measured.find((column) => column.family === "proximity") ?? measured.at(-1);
  return [named(state.x) ?? near, named(state.y) ?? named(HEADLINE) ?? measured[0]];
}

// A scale over the values: logarithmic where they are positive and span more than two orders of magnitude.
function scale(values, from, to) {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const logarithmic = least > 0 && most / least > 100;
  const bend = logarithmic ? Math.log10 : (value) => value;
  const room = (bend(most) - bend(least)) * 0.05 || Math.abs(bend(most)) * 0.1 || 0.1;
  const low = !logarithmic && least >= 0 && least < room * 6 ? Math.min(0, least - room * 0.4) : bend(least) - room;
  const high = bend(most) + room;
  const place = (value) => from + ((bend(value) - low) / (high - low)) * (to - from);
  return { place, ticks: logarithmic ? powers(low, high) : steps(low, high), logarithmic };
}

// Values of the rows and the ends of their intervals.
const spread = (shown, column) =>
  shown
    .flatMap((row) => [column.value(row), column.score?.(row)?.low, column.score?.(row)?.high])
    .filter(Number.isFinite);

function steps(low, high) {
  const rough = (high - low) / 6;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = unit * [1, 2, 5, 10].find((factor) => factor * unit >= rough);
  const ticks = [];
  for (let at = Math.ceil(low / step); at * step <= high; at += 1) ticks.push(Number((at * step).toPrecision(12)));
  return ticks;
}

function powers(low, high) {
  const ticks = [];
  for (let power = Math.ceil(low); power <= high; power += 1) ticks.push(10 ** power);
  return ticks;
}

const tickLabel = (value) =>
  (Math.abs(value) >= 1000 ? count(value) : String(Number(value.toPrecision(3)))).replace("-", "−");

// Points that no other beats in both columns, in order along x.
function front(points, [x, y]) {
  const gain = (column, row) => (column.direction === "higher" ? 1 : -1) * column.value(row);
  const best = [];
  for (const row of points.toSorted((one, other) => gain(x, other) - gain(x, one) || gain(y, other) - gain(y, one))) {
    if (!best.length || gain(y, row) > gain(y, best.at(-1))) best.push(row);
  }
  return best;
}

function renderPlot() {
  const [x, y] = axes();
  const panel = document.getElementById("plot");
  const tracks = TRACKS.filter((track, index) => inTask().some((row) => trackNumber(row) === index + 1));
  replace(
    panel.querySelector(".tracks"),
    ...tracks.map((track) => h("li", {}, dot(`track-${TRACKS.indexOf(track) + 1}`), track)),
  );
  panel.hidden = state.task === "all";
  if (panel.hidden) return;
  for (const [axis, column] of [
    ["x", x],
    ["y", y],
  ]) {
    const select = panel.querySelector(`select[data-state=${axis}]`);
    replace(
      select,
      ...measured
        .filter((each) => inTask().some(isGiven(each)))
        .map((each) => option(each.id, `${each.label} ${arrow(each.direction)}`, column.id)),
    );
    select.value = column.id;
  }
  const shown = inTask().filter((row) => matches(row) && isPlotted(x, row) && isPlotted(y, row));
  const holder = panel.querySelector(".drawing");
  if (!shown.length) return replace(holder, h("p", { class: "faint" }, "No row has both numbers."));
  frame.width = Math.max(280, Math.min(820, holder.clientWidth || 440));
  frame.height = Math.round(Math.min(460, Math.max(320, frame.width * 1.05)));
  replace(holder, drawing(shown, x, y));
}

function drawing(shown, x, y) {
  const { width, height, left, right, top, bottom } = frame;
  const across = scale(spread(shown, x), left, width - right);
  const up = scale(spread(shown, y), height - bottom, top);
  const at = (row) => [across.place(x.value(row)), up.place(y.value(row))];
  const best = front(
    shown.filter((row) => row.status === "ranked"),
    [x, y],
  );
  const order = shown.toSorted((one, other) => x.value(one) - x.value(other));
  const description = `${y.label} against ${x.label}, ${plural(shown.length, "method")}. Arrow keys go from point to point, Enter opens the card. The table has the same numbers.`;
  return svg(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": description, onkeydown: walk },
    grid(across, up),
    axisTitles(x, y, across, up),
    best.length > 1 ? svg("path", { class: "front", d: staircase(best.map(at), x.direction) }) : null,
    svg(
      "g",
      { "aria-hidden": "true" },
      shown.map((row) => bars(row, x, y, across, up)),
    ),
    order.map((row, index) => point(row, at(row), index === 0, x, y)),
    svg("g", { class: "labels", "aria-hidden": "true" }, placedLabels(best, shown, at)),
  );
}

function grid(across, up) {
  const { width, height, left, right, top, bottom } = frame;
  return svg(
    "g",
    { class: "grid", "aria-hidden": "true" },
    across.ticks.map((tick) => [
      svg("line", { x1: across.place(tick), x2: across.place(tick), y1: top, y2: height - bottom }),
      svg("text", { x: across.place(tick), y: height - bottom + 15, "text-anchor": "middle" }, tickLabel(tick)),
    ]),
    up.ticks.map((tick) => [
      svg("line", { x1: left, x2: width - right, y1: up.place(tick), y2: up.place(tick) }),
      svg("text", { x: left - 7, y: up.place(tick) + 3.5, "text-anchor": "end" }, tickLabel(tick)),
    ]),
  );
}

function axisTitles(x, y, across, up) {
  const { width, height, left, right, top, bottom } = frame;
  const log = (place) => (place.logarithmic ? " (log)" : "");
  const along =
    x.direction === "higher" ? `${x.label}${log(across)} · better →` : `← better · ${x.label}${log(across)}`;
  const upright = y.direction === "higher" ? `${y.label}${log(up)} · better →` : `← better · ${y.label}${log(up)}`;
  const middle = (top + height - bottom) / 2;
  return svg(
    "g",
    { class: "titles", "aria-hidden": "true" },
    svg("text", { x: (left + width - right) / 2, y: height - 8, "text-anchor": "middle" }, along),
    svg("text", { x: 12, y: middle, transform: `rotate(-90 12 ${middle})`, "text-anchor": "middle" }, upright),
  );
}

function staircase(places, direction) {
  const sorted = places.toSorted((one, other) => one[0] - other[0]);
  const parts = sorted.map(([left, top], index) => {
    if (!index) return `M${left} ${top}`;
    const [before, above] = sorted[index - 1];
    return direction === "lower" ? `L${left} ${above}L${left} ${top}` : `L${before} ${top}L${left} ${top}`;
  });
  return parts.join("");
}

function bars(row, x, y, across, up) {
  const [left, top] = [across.place(x.value(row)), up.place(y.value(row))];
  const drawn = [];
  const [wide, tall] = [x.score?.(row), y.score?.(row)];
  if (interval(wide)) {
    drawn.push(svg("line", { x1: across.place(wide.low), x2: across.place(wide.high), y1: top, y2: top }));
  }
  if (interval(tall)) {
    drawn.push(svg("line", { x1: left, x2: left, y1: up.place(tall.low), y2: up.place(tall.high) }));
  }
  return svg("g", { class: "bars", "data-row": row.id }, drawn);
}

function point(row, [left, top], first, x, y) {
  const ranked = row.status === "ranked";
  const mark = ranked
    ? svg("circle", { cx: left, cy: top, r: 5 })
    : row.status === "reference"
      ? svg("rect", { x: left - 4.5, y: top - 4.5, width: 9, height: 9 })
      : svg("path", { d: `M${left - 5} ${top - 5}l10 10m0 -10l-10 10` });
  const ring = row.pareto ? svg("circle", { class: "ring", cx: left, cy: top, r: 8.5 }) : null;
  const open = () => change({ pick: row.id, card: row.id });
  return svg(
    "g",
    {
      class: `point ${own(STATUSES, row.status) ? row.status : ""} track-${trackNumber(row)}`,
      "data-row": row.id,
      "data-key": `point ${row.id}`,
      role: "button",
      tabindex: first ? 0 : -1,
      "aria-label": `${row.label}: ${y.label} ${number(y.value(row))}, ${x.label} ${number(x.value(row))}`,
      tip: () => pointTip(row, x, y),
      onclick: () => pick(row.id),
      ondblclick: open,
      onkeydown: (event) => (event.key === "Enter" || event.key === " ") && (event.preventDefault(), open()),
    },
    svg("circle", { class: "target", cx: left, cy: top, r: 8 }),
    ring,
    mark,
  );
}

function pointTip(row, x, y) {
  const line = (column) =>
    h(
      "p",
      {},
      `${column.label} ${number(column.value(row))}`,
      interval(column.score?.(row)) ? h("span", { class: "faint" }, `  (${interval(column.score(row))})`) : null,
    );
  const rank = row.rank ? `rank ${range(row.rank)}` : statusOf(row)[0].toLowerCase();
  return [h("strong", {}, row.label), line(y), line(x), h("p", { class: "faint" }, `${row.track} · ${rank}`)];
}

function pick(id) {
  change({ pick: state.pick === id ? "" : id });
  const line = [...document.querySelectorAll("#table tr[data-row]")].find((element) => element.dataset.row === id);
  line?.scrollIntoView({ block: "nearest" });
}

function walk(event) {
  const way = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
  if (!way) return;
  event.preventDefault();
  const points = [...event.currentTarget.querySelectorAll(".point")];
  const next = points[(points.indexOf(document.activeElement) + way + points.length) % points.length];
  for (const each of points) each.setAttribute("tabindex", each === next ? 0 : -1);
  next.focus();
}

// Names of the front's and the reference rows' points, wherever they cover neither a point nor another name.
function placedLabels(best, shown, at) {
  const taken = shown.map((row) => [at(row)[0] - 5, at(row)[1] - 5, at(row)[0] + 5, at(row)[1] + 5]);
  const references = shown.filter((row) => row.status === "reference");
  const labels = [];
  for (const row of [...best, ...references]) {
    const text = row.label.length > 20 ? `${row.label.slice(0, 19)}…` : row.label;
    const [left, top] = at(row);
    const wide = text.length * 6 + 2;
    const spots = [
      [left + 9, top - 6],
      [left - 9 - wide, top - 6],
      [left - wide / 2, top - 20],
      [left - wide / 2, top + 8],
    ];
    for (const [x, y] of spots) {
      const box = [x, y, x + wide, y + 12];
      const inside = x > frame.left && x + wide < frame.width - 2 && y > 2 && y + 12 < frame.height - frame.bottom + 8;
      if (
        !inside ||
        taken.some((other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3])
      )
        continue;
      taken.push(box);
      labels.push(svg("text", { x, y: y + 10, "data-row": row.id, class: best.includes(row) ? "of-front" : "" }, text));
      break;
    }
  }
  return labels;
}
