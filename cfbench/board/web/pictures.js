// Pictures of the gallery: one strip a method, its queries side by side, drawn pixel for pixel into canvases.

const decoded = new Map();

// The strip of a data address as pixels, or null where it is none of the task's shape.
function strip(source, task) {
  if (!isPicture(source)) return Promise.resolve(null);
  if (!decoded.has(source)) decoded.set(source, decode(source));
  return decoded.get(source).then((image) => {
    const [, height, width] = task.image_shape;
    return image && image.height === height && image.width === width * task.gallery.ids.length ? image : null;
  });
}

async function decode(source) {
  const image = picture(source, {});
  try {
    await image.decode();
  } catch {
    return null;
  }
  const canvas = h("canvas", { width: image.naturalWidth, height: image.naturalHeight });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

function tile(image, position, task) {
  const [, height, width] = task.image_shape;
  const part = new ImageData(width, height);
  for (let row = 0; row < height; row += 1) {
    const start = (row * image.width + position * width) * 4;
    part.data.set(image.data.subarray(start, start + width * 4), row * width * 4);
  }
  return part;
}

// Colours of signed differences, as in cfbench's figures: blue is darker, red brighter, white unchanged.
const DIVERGING = [
  [5, 48, 97],
  [67, 147, 195],
  [247, 247, 247],
  [214, 96, 77],
  [103, 0, 31],
];

// The colour of a difference in [-1, 1], on a square-root scale that shows faint changes too.
function colour(change) {
  const place = 2 + 2 * Math.sign(change) * Math.sqrt(Math.min(1, Math.abs(change)));
  const below = Math.min(3, Math.floor(place));
  return DIVERGING[below].map((value, channel) => value + (place - below) * (DIVERGING[below + 1][channel] - value));
}

function difference(query, counterfactual) {
  const drawn = new ImageData(query.width, query.height);
  for (let at = 0; at < query.data.length; at += 4) {
    let change = 0;
    for (let channel = 0; channel < 3; channel += 1)
      change += counterfactual.data[at + channel] - query.data[at + channel];
    drawn.data.set([...colour(change / 765), 255], at);
  }
  return drawn;
}

function canvasOf(pixels, label) {
  const canvas = h("canvas", {
    width: pixels.width,
    height: pixels.height,
    role: "img",
    "aria-label": label,
    class: "pixels",
  });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}

function colourScale() {
  const pixels = new ImageData(121, 1);
  for (let at = 0; at < 121; at += 1) {
    const change = (at - 60) / 60;
    pixels.data.set([...colour(Math.sign(change) * change * change), 255], at * 4);
  }
  return h(
    "span",
    { class: "scale" },
    "Difference: darker",
    canvasOf(pixels, "colours from blue, darker, over white, unchanged, to red, brighter"),
    "brighter (square-root scale, the same everywhere)",
  );
}

const asked = (task, position) => `${classNames(task, "sources", position)} → ${classNames(task, "targets", position)}`;

const watcher = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      watcher.unobserve(entry.target);
      drawings.get(entry.target)?.();
    }
  },
  { rootMargin: "400px" },
);
const drawings = new WeakMap();

// Table cells of one strip, a query each, drawn when they come near the screen. `make` gives the pixels of one.
function pictureCells(row, task, kind) {
  const cells = task.gallery.ids.map(() => h("td", { class: "picture" }));
  drawings.set(cells[0], async () => {
    const queries = await strip(task.gallery.queries, task);
    const made = kind === "query" ? queries : await strip(row.gallery, task);
    cells.forEach((cell, position) => {
      if (!queries || !made) return cell.replaceChildren(h("span", { class: "faint" }, "–"));
      const image = tile(made, position, task);
      const pixels = kind === "difference" ? difference(tile(queries, position, task), image) : image;
      const who = kind === "query" ? "query" : `${kind} of ${row.label}`;
      cell.replaceChildren(canvasOf(pixels, `${who}, ${task.gallery.ids[position]}, ${asked(task, position)}`));
    });
  });
  watcher.observe(cells[0]);
  return cells;
}

function queryHeader(task, label) {
  return h(
    "thead",
    {},
    h(
      "tr",
      {},
      h("th", { scope: "col", class: "method" }, label),
      task.gallery.ids.map((id, position) =>
        h(
          "th",
          { scope: "col", class: "asked", tip: id },
          h("span", {}, classNames(task, "sources", position)),
          h("span", {}, "→ ", classNames(task, "targets", position)),
        ),
      ),
    ),
    h("tr", {}, h("th", { scope: "row", class: "method" }, "Query"), pictureCells(null, task, "query")),
  );
}
