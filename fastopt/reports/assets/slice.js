// The loss of a trained model on the plane that its path spans most.
const canvas = $("#plane"), state = { t: DATA.path.length - 1, playing: false };
const chart = new Chart($("#loss"), { height: 260, xLabel: "step", yLabel: "loss", yLog: Math.min(...DATA.true) > 0, onCursor: (x) => { state.t = nearest(DATA.steps, x); show(); } });
const n = DATA.grid.length, values = Float64Array.from(DATA.grid.flat(), (v) => v ?? Infinity);
const look = (() => {
  const [x0, x1, y0, y1] = DATA.box, at = (x) => values[Math.round(((x[1] - y0) / (y1 - y0)) * (n - 1)) * n + Math.round(((x[0] - x0) / (x1 - x0)) * (n - 1))];
  return sample(at, DATA.box, n, n);
})();

function show() {
  const { ctx, w, h } = prepare(canvas, Math.round(Math.min(canvas.clientWidth, 560))), [x0, x1, y0, y1] = DATA.box;
  const box = { left: 46, top: 18, right: w - 6, bottom: h - 38 }, sx = scale([x0, x1], [box.left, box.right]), sy = scale([y0, y1], [box.bottom, box.top]);
  const share = DATA.explained.map((v) => (100 * v).toFixed(1));
  axes(ctx, box, sx, sy, `first direction: ${share[0]} % of the path's variance`, `second direction: ${share[1]} %`);
  ctx.drawImage(contourPicture(look, box.right - box.left, box.bottom - box.top, 18), box.left, box.top, box.right - box.left, box.bottom - box.top);
  ctx.lineWidth = 2.2;
  ctx.strokeStyle = colour("--c1");
  ctx.beginPath();
  DATA.path.slice(0, state.t + 1).forEach((p, i) => ctx[i ? "lineTo" : "moveTo"](sx(p[0]), sy(p[1])));
  ctx.stroke();
  ctx.strokeStyle = colour("--bg");
  ctx.lineWidth = 1.2;
  ctx.fillStyle = colour("--c1");
  let last = [-99, -99];
  for (const p of DATA.path.slice(0, state.t + 1)) {
    const at = [sx(p[0]), sy(p[1])];
    if (Math.hypot(at[0] - last[0], at[1] - last[1]) < 7) continue;
    mark(ctx, 0, ...at, 2.6);
    last = at;
  }
  ctx.fillStyle = colour("--c2");
  mark(ctx, 3, sx(DATA.path[state.t][0]), sy(DATA.path[state.t][1]), 6.5);
  chart.cursor = DATA.steps[state.t];
  chart.show([
    { name: "true", x: DATA.steps, y: DATA.true, colour: colour("--c1"), shape: 0 },
    { name: "in the plane", x: DATA.steps, y: DATA.projected, colour: colour("--c2"), dash: [6, 4], shape: 3 },
  ]);
  const t = state.t, rows = [["step", DATA.steps[t]], ["true loss", DATA.true[t]], ["loss of the projection", DATA.projected[t]], ["distance from the plane", DATA.distance[t]], ["distance from the end", DATA.far[t]]];
  $("#numbers tbody").replaceChildren(...rows.map(([k, v]) => element("tr", {}, element("th", { scope: "row" }, k), element("td", {}, digits(v, 6)))));
  $("#step").value = t;
  $("#step").setAttribute("aria-valuetext", `step ${DATA.steps[t]}`);
  const text = `Step ${DATA.steps[t]}: true loss ${digits(DATA.true[t])}, loss of its projection ${digits(DATA.projected[t])}.`;
  canvas.setAttribute("aria-label", `The loss on the plane of the path's two main directions, with the path. ${text}`);
  $("#loss").setAttribute("aria-label", `Loss against step, true and of the projection. ${text}`);
}

let moved = 0;
function frame(now) {
  if (!state.playing) return;
  if (now - moved > 3000 / DATA.path.length) { moved = now; state.t++; show(); }
  if (state.t >= DATA.path.length - 1) return play(false);
  requestAnimationFrame(frame);
}
function play(on) {
  state.playing = on;
  $("#play").textContent = on ? "❚❚ Pause" : "▶ Play";
  if (on) { if (state.t >= DATA.path.length - 1) state.t = 0; requestAnimationFrame(frame); }
}

$("#step").max = DATA.path.length - 1;
$("#step").addEventListener("input", (e) => { play(false); state.t = +e.target.value; show(); });
$("#play").addEventListener("click", () => play(!state.playing));
show();
onLook(show);
