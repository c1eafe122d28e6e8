// The report: summary, curves, what the models answer, their weights.
const RUNS = DATA.runs, shown = RUNS.map(() => true), TITLES = { loss_train: "Training loss", loss_validation: "Validation loss", accuracy_validation: "Validation accuracy", lr: "Learning rate", gradient_norm: "Gradient norm" };
const COLUMNS = [["loss_train", "training loss"], ["loss_validation", "validation loss"], ["accuracy_validation", "validation accuracy"], ["loss_test", "test loss"], ["accuracy_test", "test accuracy"], ["lr", "last rate"], ["gradient_norm", "gradient norm"], ["epoch", "epochs"], ["step", "steps"], ["seconds", "seconds"]];
const look = (i) => ({ colour: colour(`--c${i % 8}`), dash: DASHES[i % 8], shape: i % 8 });
const charts = {};

function summary() {
  const columns = COLUMNS.filter(([key]) => RUNS.some((r) => r.summary[key] != null));
  $("#summary thead tr").replaceChildren(element("th", { scope: "col" }, "run"), ...columns.map(([, text]) => element("th", { scope: "col" }, text)));
  $("#summary tbody").replaceChildren(...RUNS.map((run, i) => {
    const key = element("canvas", { style: "width:34px;display:inline-block;vertical-align:-3px", "aria-hidden": "true" });
    const box = element("input", { type: "checkbox", id: `show-${i}`, checked: shown[i], onchange: (e) => { shown[i] = e.target.checked; curves(); } });
    return element("tr", {}, element("th", { scope: "row", style: "white-space:nowrap" }, element("label", { for: `show-${i}` }, box, " ", key, ` ${run.name}`)),
      ...columns.map(([name]) => element("td", {}, digits(run.summary[name], 5))));
  }));
  $$("#summary canvas").forEach((key, i) => {
    const { ctx } = prepare(key, 16), s = look(i);
    ctx.strokeStyle = ctx.fillStyle = s.colour;
    ctx.lineWidth = 2;
    ctx.setLineDash(s.dash);
    line(ctx, 0, 8, 34, 8);
  });
}

function diagnosis() {
  $("#diagnosis").replaceChildren(...RUNS.map((run) => element("div", {}, element("h3", {}, run.name), run.diagnosis.length
    ? element("ul", {}, ...run.diagnosis.map((f) => element("li", {}, element("b", { class: "warn" }, f.problem), `: ${f.evidence}. `, element("span", { class: "soft" }, f.cure))))
    : element("p", { class: "good" }, "Nothing found in its curves."))));
}

function curves() {
  const names = Object.keys(TITLES).filter((name) => RUNS.some((r) => r.curves[name]));
  $("#curves-section").hidden = !names.length;
  for (const name of names) {
    if (!charts[name]) {
      const canvas = element("canvas", { id: `curve-${name}` }), text = element("figcaption", { id: `text-${name}` });
      $("#curves").append(element("figure", {}, element("h3", {}, TITLES[name]), canvas, text));
      charts[name] = new Chart(canvas, { height: 240, xLabel: "step or epoch", onCursor: (x) => say(name, x) });
    }
    const series = RUNS.flatMap((r, i) => (shown[i] && r.curves[name] ? [{ name: r.name, ...r.curves[name], ...look(i) }] : []));
    const positive = series.every((s) => s.y.every((v) => v > 0));
    charts[name].show(series, { yLog: $("#log").checked && positive && name !== "accuracy_validation" });
    charts[name].canvas.setAttribute("aria-label", `${TITLES[name]}: ${series.map((s) => `${s.name} from ${digits(s.y[0])} to ${digits(s.y.at(-1))}`).join("; ")}`);
  }
}

function say(name, x) {
  const found = charts[name].series.map((s) => { const i = nearest(s.x, x); return `${s.name} ${digits(s.y[i])}`; });
  $(`#text-${name}`).textContent = `At ${digits(x, 6)}: ${found.join(", ")}`;
}

// --- answers on test rows ---
const tested = RUNS.filter((r) => r.confusion), state = { run: tested[0], c: 0, at: 0 };
let roc = null;

function chooseRun(run) {
  state.run = run;
  state.c = Math.min(1, run.classes.length - 1);
  if (run.classes.length > 2) state.c = 0;
  $("#class").replaceChildren(...run.classes.map((c, k) => element("option", { value: k, selected: k === state.c }, c)));
  $("#kind").textContent = run.kind;
  $("#confusion thead tr").replaceChildren(element("th", { scope: "col" }, "true \\ predicted"), ...run.classes.map((c) => element("th", { scope: "col" }, c)), element("th", { scope: "col" }, "recall"));
  $("#confusion tbody").replaceChildren(...run.confusion.map((row, i) => {
    const sum = row.reduce((a, v) => a + v, 0);
    return element("tr", {}, element("th", { scope: "row" }, run.classes[i]), ...row.map((v, j) => element("td", {
      style: `background:color-mix(in srgb, var(${i === j ? "--c1" : "--c2"}) ${Math.round(55 * (sum ? v / sum : 0) ** 0.5)}%, transparent)` }, String(v))), element("td", {}, sum ? digits(row[i] / sum, 3) : "–"));
  }));
  chooseClass(state.c);
}

function chooseClass(c) {
  state.c = c;
  const t = state.run.thresholds[c], middle = state.run.kind === "probability" ? 0.5 : 0;
  $("#threshold").max = t.thresholds.length - 1;
  const first = t.thresholds.findIndex((v) => v < middle);
  state.at = Math.max(0, (first < 0 ? t.thresholds.length : first) - 1);
  rates();
}

function rates() {
  const t = state.run.thresholds[state.c], i = state.at, n = t.positive + t.negative;
  const hits = t.hits[i], alarms = t.alarms[i], rows = [["sensitivity (recall)", hits / t.positive], ["specificity", 1 - alarms / t.negative],
    ["accuracy", (hits + t.negative - alarms) / n], ["precision", hits / (hits + alarms)], ["area under the curve", t.area]];
  $("#threshold").value = i;
  $("#threshold-text").textContent = digits(t.thresholds[i], 4);
  $("#threshold").setAttribute("aria-valuetext", `${digits(t.thresholds[i], 4)}: sensitivity ${digits(rows[0][1], 3)}, specificity ${digits(rows[1][1], 3)}, accuracy ${digits(rows[2][1], 3)}`);
  $("#rates tbody").replaceChildren(...rows.map(([k, v]) => element("tr", {}, element("th", { scope: "row" }, k), element("td", {}, digits(v)))));
  const x = [0, ...t.alarms.map((v) => v / t.negative)], y = [0, ...t.hits.map((v) => v / t.positive)];
  roc.cursor = null;
  roc.show([{ name: "chance", x: [0, 1], y: [0, 1], colour: colour("--line"), dash: [4, 4] }, { name: "ROC", x, y, colour: colour("--c1") },
    { name: "threshold", x: [x[i + 1]], y: [y[i + 1]], colour: colour("--c2"), shape: 3, dots: true }]);
  $("#roc").setAttribute("aria-label", `ROC of class ${state.run.classes[state.c]}: area ${digits(t.area)}; at this threshold sensitivity ${digits(rows[0][1], 3)} and 1 − specificity ${digits(alarms / t.negative, 3)}`);
}

// --- weights ---
function weights() {
  const some = RUNS.filter((r) => r.templates || r.coefficients);
  $("#weights").hidden = !some.length;
  $("#templates").replaceChildren(...some.filter((r) => r.templates).map(images));
  $("#coefficients").replaceChildren(...some.filter((r) => r.coefficients).flatMap((run) => run.coefficients.map((list, c) => coefficients(run, list, c))));
}

function images(run) {
  const { height, width } = run.templates, against = rgbOf("--c1"), towards = rgbOf("--c2"), paper = rgbOf("--bg");
  const pictures = run.templates.images.map((bytes, c) => {
    const name = run.templates.images.length === 1 ? run.classes[1] ?? "" : run.classes[c];
    const canvas = element("canvas", { width, height, role: "img", "aria-label": `weights of class ${name} of ${run.name}`, style: `width:${width < 16 ? 96 : 112}px;image-rendering:pixelated;border:1px solid var(--line)` });
    const image = new ImageData(width, height);
    bytes.forEach((v, i) => {
      const tone = v > 0 ? towards : against, share = Math.abs(v) / 127;
      for (let k = 0; k < 3; k++) image.data[4 * i + k] = paper[k] + share * (tone[k] - paper[k]);
      image.data[4 * i + 3] = 255;
    });
    canvas.getContext("2d").putImageData(image, 0, 0);
    return element("figure", {}, canvas, element("figcaption", {}, name));
  });
  return element("div", {}, element("h3", {}, run.name), element("div", { class: "bar", style: "align-items:flex-start" }, ...pictures));
}

function rgbOf(name) {
  const hex = colour(name).replace("#", ""), full = hex.length === 3 ? [...hex].map((c) => c + c).join("") : hex;
  return [0, 2, 4].map((i) => parseInt(full.slice(i, i + 2), 16));
}

function coefficients(run, list, c) {
  const most = Math.max(...list.map(([, v]) => Math.abs(v)), 1e-300);
  const name = run.coefficients.length === 1 ? run.classes?.[1] ?? "" : run.classes?.[c] ?? c;
  return element("div", { class: "wide" }, element("table", { class: "numbers" }, element("caption", {}, `${run.name}: ${name}`), element("tbody", {}, ...list.map(([k, v]) =>
    element("tr", {}, element("th", { scope: "row", style: "max-width:11em;overflow:hidden;text-overflow:ellipsis" }, k),
      element("td", { style: `background:linear-gradient(to right, color-mix(in srgb, var(${v > 0 ? "--c2" : "--c1"}) 40%, transparent) ${(100 * Math.abs(v)) / most}%, transparent 0)` }, digits(v)))))));
}

function configs() {
  $("#configs").replaceChildren(...RUNS.map((run) => element("div", {}, element("h3", {}, run.name), element("dl", {}, ...Object.entries(run.config).flatMap(([k, v]) =>
    [element("dt", {}, k), element("dd", {}, v == null ? "none" : typeof v === "object" ? JSON.stringify(v) : String(v))])))));
  const rows = Object.entries({ ...DATA.machine, "this page": DATA.command }).filter(([, v]) => v != null);
  $("#machine").replaceChildren(...rows.flatMap(([k, v]) => [element("dt", {}, k), element("dd", {}, String(v))]));
}

function start() {
  summary();
  diagnosis();
  curves();
  weights();
  configs();
  $("#log").addEventListener("change", curves);
  if (!tested.length) return;
  $("#answers").hidden = false;
  roc = new Chart($("#roc"), { height: 300, x: [0, 1], y: [0, 1], xLabel: "1 − specificity", yLabel: "sensitivity" });
  $("#run").append(...tested.map((r, i) => element("option", { value: i }, r.name)));
  $("#run").addEventListener("change", (e) => chooseRun(tested[+e.target.value]));
  $("#class").addEventListener("change", (e) => chooseClass(+e.target.value));
  $("#threshold").addEventListener("input", (e) => { state.at = +e.target.value; rates(); });
  chooseRun(tested[0]);
}

start();
onLook(() => { summary(); curves(); weights(); if (tested.length) rates(); });
