// Elements are made here and nowhere else. Children are nodes or text, never markup; addresses have to pass a check.

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "href" || name === "src" || name === "style") throw new Error(`use link or picture, not ${name}`);
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "tip") tips.set(element, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

const h = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);

const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

function link(address, ...children) {
  let url = null;
  try {
    url = new URL(address);
  } catch {
    // no address: shown as text
  }
  if (!url || !["http:", "https:"].includes(url.protocol)) return h("span", {}, ...children);
  const anchor = h("a", { rel: "noopener noreferrer nofollow", target: "_blank" }, ...children);
  anchor.href = url.href;
  return anchor;
}

// Text with its http(s) addresses, arXiv numbers and DOIs as links.
function linked(text) {
  const parts = [];
  const pattern =
    /(https?:\/\/[^\s<>"']*[^\s<>"'.,;:)\]])|arXiv[: ](\d{4}\.\d{4,5})|doi[: ](10\.\d{4,9}\/[^\s<>"',;]+)/gi;
  let end = 0;
  for (const match of String(text ?? "").matchAll(pattern)) {
    const [found, address, arxiv, doi] = match;
    parts.push(text.slice(end, match.index));
    parts.push(link(address ?? (arxiv ? `https://arxiv.org/abs/${arxiv}` : `https://doi.org/${doi}`), found));
    end = match.index + found.length;
  }
  return [...parts, String(text ?? "").slice(end)];
}

const isPicture = (source) => /^data:image\/png;base64,[A-Za-z0-9+/=]+$/.test(source ?? "");

function picture(source, attributes) {
  const image = h("img", attributes);
  if (isPicture(source)) image.src = source;
  return image;
}

const option = (value, label, selected) => h("option", { value, selected: value === selected }, label);

// Put new children into an element without losing the place of the keyboard: elements are known by data-key.
function replace(element, ...children) {
  const key = element.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  element.replaceChildren(...children.flat().filter(Boolean));
  if (!key) return;
  for (const candidate of element.querySelectorAll("[data-key]")) {
    if (candidate.dataset.key === key) return candidate.focus({ preventScroll: true });
  }
}

const tips = new WeakMap();
const tooltip = document.getElementById("tooltip");
let tipped = null;

function showTip(target) {
  if (tipped === target) return;
  hideTip();
  if (!target) return;
  tipped = target;
  const content = tips.get(target);
  tooltip.replaceChildren(...[typeof content === "function" ? content() : content].flat());
  tooltip.showPopover();
  const box = target.getBoundingClientRect();
  const left = Math.min(Math.max(8, box.left), innerWidth - tooltip.offsetWidth - 8);
  const below = box.bottom + 6 + tooltip.offsetHeight < innerHeight;
  tooltip.style.left = `${Math.max(8, left)}px`;
  tooltip.style.top = `${below ? box.bottom + 6 : Math.max(8, box.top - 6 - tooltip.offsetHeight)}px`;
  target.setAttribute("aria-describedby", "tooltip");
}

function hideTip() {
  tipped?.removeAttribute("aria-describedby");
  if (tipped) tooltip.hidePopover();
  tipped = null;
}

function nearestTip(node) {
  while (node && !tips.has(node)) node = node.parentElement;
  return node;
}

document.addEventListener("pointerover", (event) => event.pointerType !== "touch" && showTip(nearestTip(event.target)));
document.addEventListener(
  "focusin",
  (event) => event.target.matches(":focus-visible") && showTip(nearestTip(event.target)),
);
document.addEventListener("focusout", hideTip);
document.addEventListener("keydown", (event) => event.key === "Escape" && hideTip());
document.addEventListener("scroll", hideTip, true);
