// A table of data before and after standardising: the ravine that its columns make, and gradient descent in it.
const state = { set: 0, i: 0, j: 1, share: 0.9, steps: 60 };
const charts = { loss: new Chart($("#loss"), { height: 260, xLabel: "step", yLabel: "loss above its minimum, as a share of the first", yLog: true }) };

/** Least squares of two columns: 1/2 (w'Hw - 2 c'w + e), minimum, curvatures (eigenvalues of H). */
function problem(set, kind) {
  const m = set[kind], { i, j } = state, H = [[m.products[i][i], m.products[i][j]], [m.products[i][j], m.products[j][j]]], c = [m.targets[i], m.targets[j]];
  const mean = (H[0][0] + H[1][1]) / 2, apart = Math.hypot((H[0][0] - H[1][1]) / 2, H[0][1]), high = mean + apart;
  const determinant = H[0][0] * H[1][1] - H[0][1] ** 2, low = Math.max(determinant / high, 0); // mean - apart cancels
  const best = [(c[0] * H[1][1] - c[1] * H[0][1]) / determinant, (c[1] * H[0][0] - c[0] * H[0][1]) / determinant];
  const above = (w) => { const d = [w[0] - best[0], w[1] - best[1]]; return 0.5 * (H[0][0] * d[0] ** 2 + 2 * H[0][1] * d[0] * d[1] + H[1][1] * d[1] ** 2); };
  const gradient = (w) => [H[0][0] * w[0] + H[0][1] * w[1] - c[0], H[0][1] * w[0] + H[1][1] * w[1] - c[1]];
  return { H, best, above, gradient, high, low, condition: high / low };
}

/** Gradient descent from zero at a share of 2 / the largest curvature. */
function descend(p) {
  const lr = (state.share * 2) / p.high, path = [[0, 0]];
  for (let t = 0; t < state.steps; t++) {
    const w = path[t], g = p.gradient(w);
    path.push([w[0] - lr * g[0], w[1] - lr * g[1]]);
  }
  return { lr, path, loss: path.map(p.above) };
}

function show() {
  const set = DATA.sets[state.set], found = {};
  for (const kind of ["before", "after"]) {
    const p = (found[kind] = problem(set, kind));
    Object.assign(p, descend(p));
    plane($(`#${kind}`), p, kind);
    $(`#${kind}-text`).textContent = `Curvatures ${digits(p.high)} and ${digits(p.low)}: condition number ${digits(p.condition)}. ` +
      `Learning rate ${digits(p.lr, 3)}; after ${state.steps} steps ${digits(p.loss[state.steps] / p.loss[0], 3)} of the first loss is left.`;
  }
  const series = ["before", "after"].map((kind, k) => ({ name: kind, x: found[kind].loss.map((_, t) => t), y: found[kind].loss.map((v) => Math.max(v / found[kind].loss[0], 1e-16)),
    colour: colour(`--c${2 - k}`), dash: k ? [] : [6, 4] }));
  charts.loss.show(series);
  $("#loss").setAttribute("aria-label", `Loss against step. ${$("#before-text").textContent} Standardised: ${$("#after-text").textContent}`);
  $("#whole").textContent = `All ${set.names.length} columns together: condition number ${digits(set.before.condition)} before, ${digits(set.after.condition)} after standardising.`;
}

function plane(canvas, p, kind) {
  const { ctx, w, h } = prepare(canvas, Math.round(Math.min(canvas.clientWidth * 0.85, 420)));
  const set = DATA.sets[state.set], reach = 1.35 * Math.max(Math.hypot(...p.best), 1e-12), half = [reach, (reach * h) / w];
  const span = [p.best[0] - half[0], p.best[0] + half[0], p.best[1] - half[1], p.best[1] + half[1]];
  const box = { left: 62, top: 18, right: w - 6, bottom: h - 38 }, sx = scale(span.slice(0, 2), [box.left, box.right]), sy = scale(span.slice(2), [box.bottom, box.top]);
  axes(ctx, box, sx, sy, `weight of ${set.names[state.i]}`, `weight of ${set.names[state.j]}`);
  ctx.save();
  ctx.beginPath();
  ctx.rect(box.left, box.top, box.right - box.left, box.bottom - box.top);
  ctx.clip();
  ctx.drawImage(contourPicture(sample(p.above, span, 120, 100), box.right - box.left, box.bottom - box.top, 12), box.left, box.top, box.right - box.left, box.bottom - box.top);
  ctx.strokeStyle = colour(kind === "before" ? "--c2" : "--c1");
  ctx.lineWidth = 2;
  const clip = (v) => Math.max(-1e5, Math.min(1e5, v));
  ctx.beginPath();
  p.path.forEach((q, t) => ctx[t ? "lineTo" : "moveTo"](clip(sx(q[0])), clip(sy(q[1]))));
  ctx.stroke();
  ctx.fillStyle = ctx.strokeStyle;
  for (const q of p.path) { ctx.strokeStyle = colour("--bg"); ctx.lineWidth = 1; mark(ctx, 0, clip(sx(q[0])), clip(sy(q[1])), 3); }
  ctx.strokeStyle = colour("--text");
  ctx.lineWidth = 1.3;
  ctx.beginPath();
  ctx.arc(sx(p.best[0]), sy(p.best[1]), 7, 0, 2 * Math.PI);
  ctx.stroke();
  ctx.restore();
  canvas.setAttribute("aria-label", `Contours of the loss ${kind} standardising over two weights, with the path of gradient descent: condition number ${digits(p.condition)}`);
}

function chooseSet(k) {
  state.set = k;
  const set = DATA.sets[k];
  Object.assign(state, { i: set.pair[0], j: set.pair[1] });
  for (const [id, key] of [["#first", "i"], ["#second", "j"]])
    $(id).replaceChildren(...set.names.map((n, c) => element("option", { value: c, selected: c === state[key] }, n)));
  const cells = (row) => row.map((v) => element("td", {}, digits(v)));
  $("#rows thead tr").replaceChildren(element("th", { scope: "col" }, "row"), ...[...set.names, "target"].map((n) => element("th", { scope: "col" }, n)));
  $("#rows tbody").replaceChildren(...set.rows.map((r, t) => element("tr", {}, element("th", { scope: "row" }, String(t + 1)), ...cells(r))));
  $("#columns tbody").replaceChildren(...set.names.map((n, c) => element("tr", {}, element("th", { scope: "row" }, n),
    ...cells([set.mean[c], set.deviation[c], set.before.products[c][c], set.after.products[c][c]]))));
  $("#about").textContent = set.text;
  show();
}

$("#set").append(...DATA.sets.map((s, k) => element("option", { value: k }, s.title)));
$("#set").addEventListener("change", (e) => chooseSet(+e.target.value));
for (const [id, key, other] of [["#first", "i", "j"], ["#second", "j", "i"]])
  $(id).addEventListener("change", (e) => {
    if (+e.target.value === state[other]) { e.target.value = state[key]; return; }
    state[key] = +e.target.value;
    show();
  });
$("#share").addEventListener("input", (e) => { state.share = +e.target.value; $("#share-text").textContent = digits(state.share, 3); show(); });
$("#steps").addEventListener("input", (e) => { state.steps = +e.target.value; $("#steps-text").textContent = state.steps; show(); });
chooseSet(0);
onLook(show);
