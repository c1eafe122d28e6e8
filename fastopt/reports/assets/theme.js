// Light, dark or as the system has it; colours of the theme for canvases; what every page's script needs.
const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const DATA = $("#data") ? JSON.parse($("#data").textContent) : null;

/** A CSS colour variable of the present theme, such as colour("--text"). */
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** An element with attributes, listeners (on...: function) and children. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

/** A number as a reader wants it: four digits, a power of ten where it is far from one. */
function digits(value, count = 4) {
  if (value == null || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  const text = value !== 0 && (size >= 1e5 || size < 1e-3) ? value.toExponential(count - 2) : String(+value.toPrecision(count));
  return text.replace("e+", "e").replace(/-/g, "−");
}

const redraws = []; // what must be drawn anew when theme or width change
function onLook(draw) {
  redraws.push(draw);
}
function redrawAll() {
  for (const draw of redraws) draw();
}

(() => {
  const button = $("#theme"), root = document.documentElement;
  const names = { auto: "as the system has them", light: "light", dark: "dark" };
  let theme = "auto";
  button.addEventListener("click", () => {
    theme = { auto: "light", light: "dark", dark: "auto" }[theme];
    if (theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = theme;
    button.setAttribute("aria-label", `Colours: ${names[theme]}`);
    button.textContent = { auto: "◐", light: "☀", dark: "☾" }[theme];
    redrawAll();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawAll);
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth !== width) { width = innerWidth; redrawAll(); }
  });
})();
