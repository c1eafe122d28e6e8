// The race: paths of rules on a surface, recomputed in the page.
const NAMES = DATA.rules, state = {
  surface: null, start: null, steps: DATA.steps, t: 0, playing: false, speed: 1, flat: true, turn: 0.7, tilt: 0.6, time: false,
  preset: "right", inside: NAMES[0], arrows: true, hyper: {}, on: Object.fromEntries(NAMES.map((n) => [n, true])), paths: {}, rates: {},
};
const SURFACES = Object.fromEntries(DATA.surfaces.map((s) => [s.name, bindSurface(s)]));
const TITLES = Object.fromEntries(NAMES.map((n) => [n, n === "lbfgs" ? "L-BFGS" : RULES[n].name]));
const style = (name) => {
  const i = NAMES.indexOf(name);
  return { colour: colour(`--c${i % 8}`), dash: DASHES[i % 8], shape: i % 8 };
};
const canvas = $("#map"), chart = new Chart($("#loss"), { height: 300, onCursor: (x) => fromChart(x) });
let grid, coarse, background = null;

function defaults(name) {
  return name === "lbfgs" ? { ...LBFGS_FIELDS } : { ...RULES[name].fields };
}

// --- what is computed ---
function chooseSurface(name) {
  state.surface = SURFACES[name];
  state.start = [...state.surface.start];
  state.rates = {};
  grid = sample(state.surface.value, state.surface.box, 200, 160);
  coarse = sample(state.surface.value, state.surface.box, 46, 46);
  background = null;
  $("#about").textContent = state.surface.text;
  const own = state.surface.presets || [];
  $("#presets-own").hidden = !own.length;
  $("#presets-own").replaceChildren("All rules at ", ...own.map((lr) =>
    element("button", { type: "button", "data-lr": lr, "aria-pressed": "false", onclick: () => applyRate(lr) }, lr.toFixed(2))));
  applyPreset("right");
}

function rates(name) {
  const s = state.surface;
  return (state.rates[name] ??= presetRates(name, state.hyper[name], s, [...s.start], Math.min(200, DATA.steps)));
}

function applyPreset(which) {
  state.preset = which;
  for (const name of NAMES) if ("lr" in state.hyper[name]) state.hyper[name].lr = rates(name)[which];
  recompute();
  showHyper();
}

function applyRate(lr) {
  state.preset = lr;
  for (const name of NAMES) if ("lr" in state.hyper[name]) state.hyper[name].lr = lr;
  recompute();
  showHyper();
}

function recompute(names = NAMES) {
  for (const name of names) state.paths[name] = pathOf(name, state.hyper[name], state.surface, state.start, state.steps);
  $("#step").max = state.steps;
  state.t = Math.min(state.t, state.steps);
  for (const b of $$("[data-preset]")) b.setAttribute("aria-pressed", String(b.dataset.preset === state.preset));
  for (const b of $$("[data-lr]")) b.setAttribute("aria-pressed", String(+b.dataset.lr === state.preset));
  show();
}

// --- what is shown ---
const at = (path, t) => Math.min(t, path.x.length - 1);
function seconds(name, path, t) {
  const c = DATA.seconds;
  return 1e6 * (path.evaluations[t] * c.gradient[state.surface.name] + t * c.step[name]);
}

function show() {
  draw();
  table();
  lossChart();
  showInside();
  $("#step").value = state.t;
  $("#step").setAttribute("aria-valuetext", `step ${state.t} of ${state.steps}`);
  $("#step-text").textContent = `step ${state.t} / ${state.steps}`;
}

function draw() {
  const width = canvas.clientWidth, { ctx, w, h } = prepare(canvas, Math.round(Math.min(0.82 * width, 620)));
  const view = state.flat ? flatView(ctx, w, h) : solidView(ctx, w, h);
  for (const name of NAMES) if (state.on[name] && name !== state.inside) drawPath(ctx, view, name);
  if (state.on[state.inside]) drawPath(ctx, view, state.inside);
  if (state.flat && state.arrows && state.on[state.inside]) drawArrows(ctx, view, w, h);
  ctx.fillStyle = ctx.strokeStyle = colour("--text");
  ctx.lineWidth = 1.5;
  const [sx, sy] = view(state.start);
  line(ctx, sx - 6, sy - 6, sx + 6, sy + 6);
  line(ctx, sx - 6, sy + 6, sx + 6, sy - 6);
  const lead = NAMES.filter((n) => state.on[n]).map((n) => `${TITLES[n]} ${digits(state.paths[n].f[at(state.paths[n], state.t)])}`);
  canvas.setAttribute("aria-label", `${state.surface.title}, ${state.flat ? "contours" : "in three dimensions"}, start ${state.start.map((v) => digits(v, 3)).join(", ")}, ` +
    `step ${state.t}. Loss: ${lead.join("; ")}. Arrow keys ${state.flat ? "move the start" : "turn the picture"}.`);
}

function flatView(ctx, w, h) {
  const [x0, x1, y0, y1] = state.surface.box, left = 40, bottom = h - 22;
  const sx = scale([x0, x1], [left, w - 2]), sy = scale([y0, y1], [bottom, 4]);
  const inner = { left, top: 4, right: w - 2, bottom };
  if (!background || background.w !== w || background.look !== colour("--bg")) {
    background = { w, look: colour("--bg"), picture: contourPicture(grid, w - 2 - left, bottom - 4) };
  }
  ctx.drawImage(background.picture, left, 4, w - 2 - left, bottom - 4);
  ctx.fillStyle = colour("--soft");
  ctx.textAlign = "center";
  ctx.textBaseline = "top";
  for (const t of sx.ticks(w / 80)) if (sx(t) < w - 14) ctx.fillText(tickText(t), sx(t), bottom + 5);
  ctx.textAlign = "right";
  ctx.textBaseline = "middle";
  for (const t of sy.ticks(h / 60)) if (sy(t) > 10) ctx.fillText(tickText(t), left - 5, sy(t));
  ctx.beginPath();
  ctx.rect(inner.left, inner.top, inner.right - inner.left, inner.bottom - inner.top);
  ctx.clip();
  const view = (x) => [Math.max(-1e5, Math.min(1e5, sx(x[0]))), Math.max(-1e5, Math.min(1e5, sy(x[1])))];
  view.invert = (px, py) => [sx.invert(px), sy.invert(py)];
  for (const m of state.surface.minima) {
    ctx.strokeStyle = colour("--text");
    ctx.lineWidth = 1.3;
    ctx.beginPath();
    ctx.arc(...view(m), 7, 0, 2 * Math.PI);
    ctx.stroke();
  }
  canvas.view = view;
  return view;
}

function solidView(ctx, w, h) {
  const [x0, x1, y0, y1] = state.surface.box, project = perspective(w, h, state.turn, state.tilt);
  surfacePicture(ctx, coarse, project);
  const inside = (v) => Math.max(0, Math.min(1, v));
  return (x, f = state.surface.value(x)) => {
    const u = inside((x[0] - x0) / (x1 - x0)), v = inside((x[1] - y0) / (y1 - y0));
    return project(u, v, Math.min(1.1, coarse.height(f)) + 0.012);
  };
}

function drawPath(ctx, view, name) {
  const path = state.paths[name], s = style(name), last = at(path, state.t);
  const trace = () => {
    ctx.beginPath();
    for (let t = 0; t <= last; t++) {
      const [px, py] = view(path.x[t], path.f[t]);
      ctx[t ? "lineTo" : "moveTo"](px, py);
    }
    ctx.stroke();
  };
  ctx.lineJoin = "round";
  ctx.strokeStyle = colour("--bg");
  ctx.lineWidth = name === state.inside ? 5.5 : 4.5;
  ctx.globalAlpha = 0.75;
  trace();
  ctx.globalAlpha = 1;
  ctx.strokeStyle = s.colour;
  ctx.lineWidth = name === state.inside ? 2.6 : 1.9;
  ctx.setLineDash(s.dash);
  trace();
  ctx.setLineDash([]);
  ctx.fillStyle = s.colour;
  ctx.strokeStyle = colour("--bg");
  ctx.lineWidth = 1.5;
  const [px, py] = view(path.x[last], path.f[last]);
  mark(ctx, s.shape, px, py, name === state.inside ? 7 : 5.5);
}

/** Gradient, slots and step of the chosen rule as arrows; lengths are those of the picture, not of the data. */
function drawArrows(ctx, view, w, h) {
  const path = state.paths[state.inside], t = at(path, state.t), inner = path.inside[Math.min(t, path.inside.length - 1)];
  if (!inner || t >= path.inside.length) return;
  const from = path.x[t], origin = view(from), [x0, x1, y0, y1] = state.surface.box;
  const px = w / (x1 - x0), py = h / (y1 - y0), reach = 0.17 * Math.min(w, h);
  for (const part of parts(state.inside, inner)) {
    const v = [part.vector[0] * px, -part.vector[1] * py], length = Math.hypot(...v);
    if (!(length > 0) || !Number.isFinite(length)) continue;
    const by = part.name === "step" ? Math.max(1, 18 / length) : reach / length;
    ctx.strokeStyle = ctx.fillStyle = colour("--text");
    ctx.lineWidth = part.name === "step" ? 3 : 1.6;
    ctx.setLineDash(part.dash);
    const tip = [origin[0] + v[0] * by, origin[1] + v[1] * by];
    if (part.box) ctx.strokeRect(origin[0] - Math.abs(v[0] * by), origin[1] - Math.abs(v[1] * by), 2 * Math.abs(v[0] * by), 2 * Math.abs(v[1] * by));
    else arrow(ctx, origin, tip);
    ctx.setLineDash([]);
    ctx.textAlign = "left";
    ctx.textBaseline = "middle";
    ctx.lineWidth = 3;
    ctx.strokeStyle = colour("--bg");
    const label = [part.box ? origin[0] + Math.abs(v[0] * by) + 3 : tip[0] + 6, part.box ? origin[1] - Math.abs(v[1] * by) : tip[1] + part.shift];
    ctx.strokeText(part.name, ...label);
    ctx.fillText(part.name, ...label);
  }
}

function arrow(ctx, a, b) {
  const angle = Math.atan2(b[1] - a[1], b[0] - a[0]);
  line(ctx, ...a, ...b);
  ctx.setLineDash([]);
  ctx.beginPath();
  ctx.moveTo(...b);
  for (const turn of [2.7, -2.7]) ctx.lineTo(b[0] + 9 * Math.cos(angle + turn), b[1] + 9 * Math.sin(angle + turn));
  ctx.closePath();
  ctx.fill();
}

/** What is inside a step: -gradient, slots (arrows, or a box of roots where they are squares), the step. */
function parts(name, inner) {
  const kinds = DATA.kinds[name] || [], slots = name === "lbfgs" ? [] : RULES[name].slots;
  const found = [{ name: "−gradient", vector: inner.g.map((v) => -v), dash: [4, 3], shift: -9 }];
  slots.forEach((slot, i) => {
    const v = inner.slots[i];
    if (kinds[i] === "square") found.push({ name: `√${slot}`, vector: v.map((q) => Math.sqrt(Math.max(0, q))), dash: [2, 3], box: true });
    else if (kinds[i] !== "other") found.push({ name: kinds[i] === "with" ? slot : `−${slot}`, vector: kinds[i] === "with" ? v : v.map((q) => -q), dash: [], shift: 9 });
  });
  return [...found, { name: "step", vector: inner.step, dash: [], shift: 0 }];
}

function table() {
  for (const name of NAMES) {
    const path = state.paths[name], t = at(path, state.t), row = $(`#row-${name}`);
    row.cells[1].textContent = "lr" in state.hyper[name] ? digits(state.hyper[name].lr, 3) : "searched";
    row.cells[2].textContent = path.diverged && state.t >= path.diverged ? `diverged at ${path.diverged}` : digits(path.f[t]);
    row.cells[3].textContent = path.x[t].map((v) => digits(v)).join(", ");
    row.cells[2].dataset.value = path.f[t];
    row.dataset.x = JSON.stringify(path.x[t]);
    const key = $("canvas", row), { ctx } = prepare(key, 16), s = style(name);
    ctx.strokeStyle = ctx.fillStyle = s.colour;
    ctx.lineWidth = 2;
    ctx.setLineDash(s.dash);
    line(ctx, 0, 8, 34, 8);
    ctx.setLineDash([]);
    mark(ctx, s.shape, 17, 8, 4.5);
  }
}

function lossChart() {
  const lowest = state.surface.lowest, log = lowest != null;
  const series = NAMES.filter((n) => state.on[n]).map((name) => {
    const path = state.paths[name];
    return { name: TITLES[name], ...style(name), x: path.f.map((_, t) => (state.time ? seconds(name, path, t) : t)),
      y: path.f.map((v) => (log ? Math.max(v - lowest, 1e-16) : v)), width: name === state.inside ? 2.8 : 1.8 };
  });
  const first = state.surface.value(state.start), top = log ? 30 * Math.max(first - lowest, 1e-12) : null;
  if (log) for (const s of series) s.y = s.y.map((v) => Math.min(v, top));
  const inner = state.paths[state.inside];
  chart.cursor = state.time ? seconds(state.inside, inner, at(inner, state.t)) : state.t;
  chart.show(series, { yLog: log, xLabel: state.time ? "microseconds (fastopt's steps and gradients, measured)" : "step", yLabel: log ? "loss above its minimum" : "loss" });
  $("#loss").setAttribute("aria-label", `Loss against ${state.time ? "time" : "step"}, ${log ? "logarithmic" : "linear"}; the table holds the numbers. Arrow keys move the step.`);
}

function fromChart(x) {
  const path = state.paths[state.inside];
  state.t = state.time ? nearest(path.f.map((_, t) => seconds(state.inside, path, t)), x) : Math.round(x);
  show();
}

function showInside() {
  const path = state.paths[state.inside], t = Math.max(0, Math.min(state.t, path.inside.length - 1)), inner = path.inside[t];
  $("#inside-title").textContent = `Inside ${TITLES[state.inside]} at step ${t}`;
  const rows = [["position", path.x[t]]];
  if (inner) {
    rows.push(["gradient", inner.g]);
    if (state.inside !== "lbfgs") RULES[state.inside].slots.forEach((slot, i) => rows.push([slot, inner.slots[i]]));
    rows.push(["step", inner.step], ["effective rate −step/gradient", inner.step.map((s, j) => -s / inner.g[j])]);
    if (inner.more) rows.push(...inner.more);
  }
  $("#inside tbody").replaceChildren(...rows.map(([name, v]) =>
    element("tr", {}, element("th", { scope: "row" }, name), ...v.map((q) => element("td", {}, digits(q, 6))))));
}

// --- sliders of the hyperparameters ---
/** How a hyperparameter's slider runs: from 0..1 to values and back. */
function range(field, value) {
  if (/^(lr|eps|weight_decay|initial_accumulator_value)$/.test(field)) {
    const [a, b] = field === "lr" ? [-5, 1] : field === "eps" ? [-12, 0] : [-6, 0], zero = field !== "lr" && field !== "eps";
    return { to: (s) => (zero && s === 0 ? 0 : +(10 ** (a + s * (b - a))).toPrecision(3)), from: (v) => (v <= 0 ? 0 : Math.min(1, Math.max(0, (Math.log10(v) - a) / (b - a)))) };
  }
  if (/^(momentum|dampening|decay|rho|beta\d)$/.test(field)) // 1 - 10^-4s: fine where it matters, near 1
    return { to: (s) => +(1 - 10 ** (-4 * s)).toPrecision(4), from: (v) => Math.min(1, -Math.log10(1 - Math.min(v, 0.9999)) / 4) };
  if (field === "memory") return { to: (s) => Math.round(1 + 19 * s), from: (v) => (v - 1) / 19 };
  const most = Math.max(1, 4 * Math.abs(value));
  return { to: (s) => +(s * most).toPrecision(3), from: (v) => v / most };
}

function showHyper() {
  const open = Object.fromEntries($$("#hyper details").map((d) => [d.dataset.rule, d.open]));
  $("#hyper").replaceChildren(...NAMES.map((name) => element("details", { "data-rule": name, open: open[name] ?? innerWidth > 700 },
    element("summary", {}, TITLES[name]), ...Object.keys(state.hyper[name]).map((field) => slider(name, field)))));
}

function slider(name, field) {
  const h = state.hyper[name], id = `h-${name}-${field}`;
  const changed = (value) => { h[field] = value; if (field === "lr") state.preset = null; recompute([name]); };
  if (typeof h[field] === "boolean")
    return element("div", { class: "bar" }, element("label", { for: id }, element("input", { type: "checkbox", id, checked: h[field],
      onchange: (e) => changed(e.target.checked) }), field));
  const r = range(field, defaults(name)[field]), out = element("output", { for: id }, digits(h[field], 5));
  const input = element("input", { type: "range", id, min: 0, max: 1, step: 0.002, value: r.from(h[field]), "aria-valuetext": digits(h[field], 5),
    oninput: (e) => { const v = r.to(+e.target.value); out.textContent = digits(v, 5); e.target.setAttribute("aria-valuetext", digits(v, 5)); changed(v); } });
  return element("div", {}, element("label", { for: id, class: "small" }, `${field} `, out), input);
}

// --- play and controls ---
let began = 0, from = 0;
function play(on) {
  state.playing = on;
  $("#play").textContent = on ? "❚❚ Pause" : "▶ Play";
  if (!on) return say();
  if (state.t >= state.steps) state.t = 0;
  began = performance.now();
  from = state.t;
  requestAnimationFrame(frame);
}

function frame(now) {
  if (!state.playing) return;
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches ? 10 : 1; // ten steps at once, seldom
  const t = Math.min(state.steps, from + Math.max(0, calm * Math.floor(((now - began) / 1000) * (20 / calm) * state.speed)));
  if (t !== state.t) { state.t = t; show(); }
  if (t >= state.steps) play(false);
  else requestAnimationFrame(frame);
}

function say() {
  const order = NAMES.filter((n) => state.on[n]).map((n) => [n, state.paths[n].f[at(state.paths[n], state.t)]]).sort((a, b) => a[1] - b[1]);
  $("#said").textContent = `Step ${state.t}: ` + order.map(([n, f]) => `${TITLES[n]} ${digits(f)}`).join(", ");
}

function moveStart(x) {
  const [x0, x1, y0, y1] = state.surface.box;
  state.start = [Math.min(x1, Math.max(x0, x[0])), Math.min(y1, Math.max(y0, x[1]))];
  recompute();
}

function bindMap() {
  const place = (e) => { const r = canvas.getBoundingClientRect(); return [e.clientX - r.left, e.clientY - r.top]; };
  let held = null;
  canvas.addEventListener("pointerdown", (e) => { held = place(e); canvas.setPointerCapture(e.pointerId); if (state.flat) moveStart(canvas.view.invert(...held)); });
  canvas.addEventListener("pointermove", (e) => {
    if (!held) return;
    const now = place(e);
    if (state.flat) moveStart(canvas.view.invert(...now));
    else { state.turn += (now[0] - held[0]) / 120; state.tilt = Math.min(1.45, Math.max(0.1, state.tilt + (now[1] - held[1]) / 200)); draw(); }
    held = now;
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { held = null; });
  canvas.addEventListener("keydown", (e) => {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[e.key];
    if (!by) return;
    e.preventDefault();
    if (!state.flat) { state.turn += by[0] / 10; state.tilt = Math.min(1.45, Math.max(0.1, state.tilt + by[1] / 10)); return draw(); }
    const [x0, x1, y0, y1] = state.surface.box, unit = e.shiftKey ? 10 : 50;
    moveStart([state.start[0] + (by[0] * (x1 - x0)) / unit, state.start[1] + (by[1] * (y1 - y0)) / unit]);
  });
}

function bindControls() {
  $("#surface").append(...DATA.surfaces.map((s) => element("option", { value: s.name }, s.title)));
  $("#surface").value = DATA.surface;
  $("#surface").addEventListener("change", (e) => { play(false); chooseSurface(e.target.value); });
  $("#play").addEventListener("click", () => play(!state.playing));
  $("#step").addEventListener("input", (e) => { state.playing && play(false); state.t = +e.target.value; show(); });
  $("#step").addEventListener("change", say);
  $("#speed").addEventListener("change", (e) => { state.speed = +e.target.value; began = performance.now(); from = state.t; });
  $("#steps").value = state.steps;
  $("#steps").addEventListener("change", (e) => { state.steps = Math.min(2000, Math.max(1, Math.round(+e.target.value) || 1)); e.target.value = state.steps; recompute(); });
  $("#view").addEventListener("click", (e) => { state.flat = !state.flat; e.target.setAttribute("aria-pressed", String(!state.flat)); draw(); });
  $("#against").addEventListener("click", (e) => { state.time = !state.time; e.target.textContent = state.time ? "against step" : "against time"; lossChart(); });
  $("#arrows").addEventListener("change", (e) => { state.arrows = e.target.checked; draw(); });
  for (const b of $$("[data-preset]")) b.addEventListener("click", () => applyPreset(b.dataset.preset));
  $("#reset").addEventListener("click", () => { for (const n of NAMES) state.hyper[n] = defaults(n); chooseSurface(state.surface.name); });
  $("#rules tbody").append(...NAMES.map(ruleRow));
}

function ruleRow(name) {
  const box = element("input", { type: "checkbox", id: `on-${name}`, checked: true, onchange: (e) => { state.on[name] = e.target.checked; show(); } });
  const radio = element("input", { type: "radio", name: "inside", id: `in-${name}`, checked: name === state.inside, "aria-label": `look inside ${TITLES[name]}`,
    onchange: () => { state.inside = name; show(); } });
  const key = element("canvas", { style: "width:34px;display:inline-block;vertical-align:-3px", "aria-hidden": "true" });
  return element("tr", { id: `row-${name}` }, element("th", { scope: "row" }, element("label", { for: `on-${name}`, style: "white-space:nowrap" }, box, " ", key, ` ${TITLES[name]}`)),
    element("td"), element("td"), element("td"), element("td", {}, radio));
}

for (const name of NAMES) state.hyper[name] = defaults(name);
bindControls();
bindMap();
state.t = Math.min(40, state.steps);
chooseSurface(DATA.surface);
onLook(() => { draw(); table(); });
