// The linear classifier: points that can be dragged, scores, losses and gradients as numbers.
const BOX = [-1.6, 1.6, -1.6, 1.6], canvas = $("#plane");
const state = { points: DATA.points.map((p) => ({ ...p })), W: DATA.W.map((w) => [...w]), b: [...DATA.b], loss: "softmax", l2: 0.01, lr: 0.1, chosen: 0, running: false, steps: 0, curve: [] };
const chart = new Chart($("#curve"), { height: 190, xLabel: "step", yLabel: "total loss" });
const COLOURS = [1, 2, 3], classes = state.W.length;

/** Loss and its derivatives by the scores of one point: losses/softmax.py, losses/svm.py. */
function rowLoss(s, y) {
  const d = s.map(() => 0);
  if (state.loss === "softmax") {
    const most = Math.max(...s), e = s.map((v) => Math.exp(v - most)), sum = e.reduce((a, v) => a + v, 0);
    e.forEach((v, c) => { d[c] = v / sum - (c === y ? 1 : 0); });
    return [Math.log(sum) + most - s[y], d];
  }
  let loss = 0;
  s.forEach((v, c) => {
    const m = v - s[y] + 1;
    if (c === y || !(m > 0)) return;
    const slope = state.loss === "svm" ? 1 : 2 * m;
    loss += state.loss === "svm" ? m : m * m;
    d[c] = slope;
    d[y] -= slope;
  });
  return [loss, d];
}

/** Everything at the present W and b: mean loss + l2 * sum(W^2), and its gradient. */
function evaluate() {
  const n = state.points.length, dW = state.W.map(() => [0, 0]), db = state.b.map(() => 0), rows = [];
  let data = 0, squares = 0;
  for (const p of state.points) {
    const s = state.W.map((w, c) => w[0] * p.x + w[1] * p.y + state.b[c]), [loss, d] = rowLoss(s, p.label);
    data += loss / n;
    d.forEach((v, c) => { dW[c][0] += (v * p.x) / n; dW[c][1] += (v * p.y) / n; db[c] += v / n; });
    rows.push({ s, loss, right: s.indexOf(Math.max(...s)) === p.label });
  }
  state.W.forEach((w, c) => w.forEach((v, j) => { squares += v * v; dW[c][j] += 2 * state.l2 * v; }));
  return { data, penalty: state.l2 * squares, total: data + state.l2 * squares, dW, db, rows };
}

function step(count = 1) {
  for (let k = 0; k < count; k++) {
    const { dW, db, total } = evaluate();
    state.curve.push(total);
    state.W.forEach((w, c) => { w[0] -= state.lr * dW[c][0]; w[1] -= state.lr * dW[c][1]; state.b[c] -= state.lr * db[c]; });
    state.steps++;
  }
  if (state.curve.length > 4000) state.curve.splice(0, 2000);
  show();
}

function show() {
  const now = evaluate();
  draw(now);
  state.W.forEach((w, c) => [...w, state.b[c]].forEach((v, j) => {
    const cell = $(`#w-${c}-${j}`);
    if (document.activeElement !== cell) cell.value = +v.toFixed(4);
    $(`#g-${c}-${j}`).textContent = digits(j < 2 ? now.dW[c][j] : now.db[c], 3);
  }));
  $("#points tbody").replaceChildren(...state.points.map((p, i) => pointRow(p, i, now.rows[i])));
  $("#data-loss").textContent = digits(now.data, 6);
  $("#penalty").textContent = digits(now.penalty, 6);
  $("#total").textContent = digits(now.total, 6);
  $("#accuracy").textContent = `${now.rows.filter((r) => r.right).length} of ${now.rows.length}`;
  $("#count").textContent = state.steps;
  chart.show([{ name: "total", x: state.curve.map((_, i) => state.steps - state.curve.length + i), y: state.curve, colour: colour("--c1") }]);
  $("#curve").setAttribute("aria-label", `Total loss against step, now ${digits(now.total)}`);
}

function pointRow(p, i, row) {
  const choose = element("button", { type: "button", class: "quiet", "aria-pressed": String(i === state.chosen), "aria-label": `choose point ${i + 1}`,
    onclick: () => { state.chosen = i; show(); canvas.focus(); } }, String(i + 1));
  return element("tr", { class: row.right ? "" : "bad" }, element("th", { scope: "row" }, choose), element("td", {}, digits(p.x, 3)), element("td", {}, digits(p.y, 3)),
    element("td", {}, String(p.label)), ...row.s.map((v, c) => element("td", { style: c === p.label ? "font-weight:700" : "" }, digits(v, 3))), element("td", {}, digits(row.loss, 4)));
}

// --- the plane ---
const place = {};
function draw(now) {
  const { ctx, w, h } = prepare(canvas, Math.min(canvas.clientWidth, 560));
  place.x = scale(BOX.slice(0, 2), [0, w]);
  place.y = scale(BOX.slice(2), [h, 0]);
  regions(ctx, w, h);
  state.W.forEach((_, c) => boundary(ctx, c, w, h));
  ctx.setLineDash([]);
  state.points.forEach((p, i) => {
    ctx.fillStyle = colour(`--c${COLOURS[p.label]}`);
    ctx.strokeStyle = i === state.chosen ? colour("--text") : colour("--bg");
    ctx.lineWidth = i === state.chosen ? 3 : 1.5;
    mark(ctx, [0, 1, 2][p.label], place.x(p.x), place.y(p.y), i === state.chosen ? 9 : 7);
    if (!now.rows[i].right) {
      ctx.strokeStyle = colour("--bad");
      ctx.lineWidth = 2;
      ctx.beginPath();
      ctx.arc(place.x(p.x), place.y(p.y), 14, 0, 2 * Math.PI);
      ctx.stroke();
    }
  });
  const p = state.points[state.chosen];
  canvas.setAttribute("aria-label", `The plane with ${state.points.length} points of ${classes} classes. Point ${state.chosen + 1}, class ${p.label}, is at ` +
    `${digits(p.x, 3)}, ${digits(p.y, 3)}: arrow keys move it, N chooses the next, Delete removes it.`);
}

/** Each place in the colour of the class with the largest score, with its pattern. */
function regions(ctx, w, h) {
  const n = 120, image = new ImageData(n, n), paper = rgb(colour("--bg")), tints = COLOURS.map((c) => rgb(colour(`--c${c}`)));
  for (let j = 0; j < n; j++)
    for (let i = 0; i < n; i++) {
      const x = BOX[0] + ((BOX[1] - BOX[0]) * (i + 0.5)) / n, y = BOX[3] - ((BOX[3] - BOX[2]) * (j + 0.5)) / n;
      const s = state.W.map((v, c) => v[0] * x + v[1] * y + state.b[c]), c = s.indexOf(Math.max(...s));
      const share = 0.2 + 0.08 * (c === 0 ? 0 : c === 1 ? +((i + j) % 8 < 4) : +(j % 8 < 4));
      for (let k = 0; k < 3; k++) image.data[4 * (j * n + i) + k] = paper[k] + share * (tints[c][k] - paper[k]);
      image.data[4 * (j * n + i) + 3] = 255;
    }
  const small = element("canvas", { width: n, height: n });
  small.getContext("2d").putImageData(image, 0, 0);
  ctx.drawImage(small, 0, 0, w, h);
}

/** Where a class's score is 0, with an arrow to where it grows. */
function boundary(ctx, c, w, h) {
  const [a, b] = state.W[c], size = Math.hypot(a, b);
  if (!(size > 1e-9)) return;
  const foot = [(-a * state.b[c]) / size ** 2, (-b * state.b[c]) / size ** 2], along = [-b / size, a / size];
  ctx.strokeStyle = ctx.fillStyle = colour(`--c${COLOURS[c]}`);
  ctx.lineWidth = 2;
  ctx.setLineDash(DASHES[c]);
  const at = (t) => [place.x(foot[0] + t * along[0]), place.y(foot[1] + t * along[1])];
  line(ctx, ...at(-9), ...at(9));
  ctx.setLineDash([]);
  const reach = Math.min(0.5, 0.25 * size), from = at(0), to = [place.x(foot[0] + (a / size) * reach), place.y(foot[1] + (b / size) * reach)];
  line(ctx, ...from, ...to);
  mark(ctx, 2, ...to, 3);
}

function bindPlane() {
  const at = (e) => { const r = canvas.getBoundingClientRect(); return [e.clientX - r.left, e.clientY - r.top]; };
  let held = null;
  canvas.addEventListener("pointerdown", (e) => {
    const [px, py] = at(e), far = (p) => Math.hypot(place.x(p.x) - px, place.y(p.y) - py);
    const i = state.points.reduce((best, p, k) => (far(p) < far(state.points[best]) ? k : best), 0);
    if (far(state.points[i]) < 26) held = state.chosen = i;
    else {
      state.points.push({ x: place.x.invert(px), y: place.y.invert(py), label: +$("#label").value });
      held = state.chosen = state.points.length - 1;
    }
    canvas.setPointerCapture(e.pointerId);
    show();
  });
  canvas.addEventListener("pointermove", (e) => {
    if (held == null) return;
    const [px, py] = at(e);
    move(held, place.x.invert(px), place.y.invert(py));
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { held = null; });
  canvas.addEventListener("keydown", (e) => {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[e.key], p = state.points[state.chosen];
    if (by) move(state.chosen, p.x + by[0] * 0.04, p.y + by[1] * 0.04);
    else if (e.key.toLowerCase() === "n") { state.chosen = (state.chosen + 1) % state.points.length; show(); }
    else if (e.key === "Delete") remove();
    else return;
    e.preventDefault();
  });
}

function move(i, x, y) {
  const inside = (v, low, high) => Math.min(high, Math.max(low, v));
  Object.assign(state.points[i], { x: inside(x, BOX[0], BOX[1]), y: inside(y, BOX[2], BOX[3]) });
  show();
}

function remove() {
  if (state.points.length > 1) state.points.splice(state.chosen, 1);
  state.chosen = Math.min(state.chosen, state.points.length - 1);
  show();
}

function run(on) {
  state.running = on;
  $("#run").textContent = on ? "❚❚ Stop" : "▶ Run";
  const frame = () => { if (state.running) { step(2); requestAnimationFrame(frame); } };
  if (on) requestAnimationFrame(frame);
  else $("#said").textContent = `After ${state.steps} steps the total loss is ${$("#total").textContent}`;
}

function bindControls() {
  $("#run").addEventListener("click", () => run(!state.running));
  $("#one").addEventListener("click", () => step());
  $("#remove").addEventListener("click", remove);
  $("#random").addEventListener("click", () => { state.W = state.W.map(() => [2 * Math.random() - 1, 2 * Math.random() - 1]); state.b = state.b.map(() => Math.random() - 0.5); state.curve = []; state.steps = 0; show(); });
  for (const r of $$("[name=loss]")) r.addEventListener("change", () => { state.loss = r.value; state.curve = []; show(); });
  const slide = (id, key, to) => $(id).addEventListener("input", (e) => { state[key] = to(+e.target.value); $(`${id}-text`).textContent = digits(state[key], 3); e.target.setAttribute("aria-valuetext", digits(state[key], 3)); show(); });
  slide("#lr", "lr", (v) => +(10 ** v).toPrecision(3));
  slide("#l2", "l2", (v) => (v <= -4.99 ? 0 : +(10 ** v).toPrecision(3)));
  $("#label").addEventListener("change", (e) => { state.points[state.chosen].label = +e.target.value; show(); });
  state.W.forEach((_, c) => $("#weights tbody").append(element("tr", {}, element("th", { scope: "row" }, `class ${c}`),
    ...[0, 1, 2].map((j) => element("td", {}, element("input", { type: "number", step: 0.1, id: `w-${c}-${j}`, style: "width:clamp(4.6em,19vw,6.2em);padding:.3em", "aria-label": `${["w1", "w2", "b"][j]} of class ${c}`,
      oninput: (e) => { const v = +e.target.value; if (Number.isFinite(v)) { j < 2 ? (state.W[c][j] = v) : (state.b[c] = v); show(); } } }),
      element("div", { class: "small soft" }, "∂ ", element("span", { id: `g-${c}-${j}` })))))));
}

bindControls();
bindPlane();
show();
onLook(show);
