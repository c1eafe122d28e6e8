// Paths of update rules on surfaces. RULES and FUNCTIONS are translated from the package's Python (translate.py).

/** A surface of DATA with value(x), and gradient(x, step) of [value, d0, d1]. */
function bindSurface(s) {
  if (s.batches) return { ...s, ...lineFit(s) };
  const f = s.grid ? interpolated(s.grid, s.box) : FUNCTIONS[s.name];
  return { ...s, value: (x) => D.value(f(x)), gradient: (x) => {
    const y = f([[x[0], 1, 0], [x[1], 0, 1]]);
    return typeof y === "number" ? [y, 0, 0] : y;
  } };
}

/** Mean squared error of a line, with the gradient of a few rows a step: surfaces.py, LineFit. */
function lineFit(s) {
  const mean = (x, rows) => {
    let loss = 0, d0 = 0, d1 = 0;
    for (const i of rows) {
      const r = x[0] + x[1] * s.u[i] - s.y[i];
      loss += 0.5 * r * r;
      d0 += r;
      d1 += r * s.u[i];
    }
    return [loss / rows.length, d0 / rows.length, d1 / rows.length];
  };
  const all = s.u.map((_, i) => i);
  return { value: (x) => mean(x, all)[0], gradient: (x, step) => mean(x, step == null ? all : s.batches[step % s.batches.length]) };
}

/** A function known on a grid only: cubic convolution (Keys 1981) between its points. grid: values[j][i], x[0] along i. */
function interpolated(values, [x0, x1, y0, y1]) {
  const n = values[0].length - 1, m = values.length - 1, clip = (k, most) => Math.max(0, Math.min(most, k));
  const weights = (t) => [-t / 2 + t * t - (t ** 3) / 2, 1 - 2.5 * t * t + 1.5 * t ** 3, t / 2 + 2 * t * t - 1.5 * t ** 3, (t ** 3 - t * t) / 2];
  const slopes = (t) => [-0.5 + 2 * t - 1.5 * t * t, -5 * t + 4.5 * t * t, 0.5 + 4 * t - 4.5 * t * t, 1.5 * t * t - t];
  return (x) => {
    const u = ((D.value(x[0]) - x0) / (x1 - x0)) * n, v = ((D.value(x[1]) - y0) / (y1 - y0)) * m;
    if (!(u >= 0 && u <= n && v >= 0 && v <= m)) return NaN;
    const i = Math.min(n - 1, Math.floor(u)), j = Math.min(m - 1, Math.floor(v));
    const a = weights(u - i), da = slopes(u - i), b = weights(v - j), db = slopes(v - j);
    let f = 0, d0 = 0, d1 = 0;
    for (let q = 0; q < 4; q++)
      for (let p = 0; p < 4; p++) {
        const z = values[clip(j + q - 1, m)][clip(i + p - 1, n)];
        f += a[p] * b[q] * z;
        d0 += da[p] * b[q] * z;
        d1 += a[p] * db[q] * z;
      }
    if (typeof x[0] === "number") return f;
    return [f, (d0 * n) / (x1 - x0), (d1 * m) / (y1 - y0)];
  };
}

/** steps + 1 points of a rule's path, with the loss there, and what was inside at each step. */
function rulePath(rule, h, surface, start, steps) {
  const x = [start.slice()], f = [surface.value(start)], inside = [];
  const first = rule.initial ? rule.initial(h) : rule.slots.map(() => 0);
  let p = start.slice(), diverged = null;
  let slots = rule.slots.map((name, i) => (rule.copies.includes(name) ? start.slice() : [first[i], first[i]]));
  for (let t = 1; t <= steps; t++) {
    const [, ...g] = surface.gradient(p, t - 1), k = [...rule.coefficients(h, t), ...normsOf(rule, h, rule.coefficients(h, t), p, g, slots)];
    const next = [], after = slots.map(() => []);
    for (let j = 0; j < 2; j++) {
      const [moved, kept] = rule.update(h, k, p[j], g[j], slots.map((s) => s[j]));
      next.push(moved);
      kept.forEach((v, i) => after[i].push(v));
    }
    const loss = surface.value(next);
    if (!next.every(Number.isFinite) || !Number.isFinite(loss)) { diverged = t; break; }
    inside.push({ g, k, slots: after, step: [next[0] - p[0], next[1] - p[1]] });
    p = next;
    slots = after;
    x.push(p);
    f.push(loss);
  }
  return { x, f, inside, diverged, evaluations: x.map((_, i) => i) };
}

/** The numbers that rules with norms over an array take beside their coefficients. */
function normsOf(rule, h, k, p, g, slots) {
  if (!rule.measure) return [];
  const measured = p.map((_, j) => rule.measure(h, k, p[j], g[j], slots.map((s) => s[j])));
  return rule.from_norms(h, k, measured[0].map((_, i) => Math.sqrt(measured.reduce((sum, m) => sum + m[i] * m[i], 0))), p.length);
}

/** The path of a rule, or of L-BFGS. */
function pathOf(name, h, surface, start, steps) {
  return name === "lbfgs" ? lbfgsPath(h, surface, start, steps) : rulePath(RULES[name], h, surface, start, steps);
}

/** The area under a path's loss on a logarithmic scale: what "the right learning rate" makes small. 0 for a path that leaves the picture. */
function area(path, steps, lowest, first, [x0, x1, y0, y1]) {
  let sum = 0;
  if (path.x.some(([x, y]) => x < x0 || x > x1 || y < y0 || y > y1)) return 0;
  for (let t = 0; t <= steps; t++) {
    const v = t < path.f.length ? path.f[t] : Infinity;
    sum += Math.log10(Math.min(10, Math.max(1e-9, (v - lowest) / Math.max(first - lowest, 1e-300))));
  }
  return sum / (steps + 1);
}

const RATES = [];
for (let power = -4; power <= 0; power++) for (const digit of [1, 1.3, 1.8, 2.4, 3.2, 4.2, 5.6, 7.5]) RATES.push(+(digit * 10 ** power).toPrecision(2));

/** Learning rates for a rule on a surface: low, right, edge (the largest that still goes down), high. */
function presetRates(name, h, surface, start, steps) {
  const first = surface.value(start), lowest = surface.lowest ?? Math.min(first - 1, 0);
  const scores = RATES.map((lr) => area(pathOf(name, { ...h, lr }, surface, start, steps), steps, lowest, first, surface.box));
  const at = (i) => scores[Math.max(0, Math.min(scores.length - 1, i))];
  const smooth = scores.map((s, i) => Math.max(s, (at(i - 1) + s + at(i + 1)) / 3)); // no lucky jumps
  let best = 0;
  smooth.forEach((s, i) => { if (s < smooth[best] - 1e-9) best = i; });
  let edge = best;
  while (edge + 1 < RATES.length && scores[edge + 1] < Math.min(-0.05, 0.25 * scores[best])) edge++;
  const high = Math.min(RATES.length - 1, edge + 2);
  return { low: RATES[Math.max(0, best - 10)], right: RATES[best], edge: RATES[edge], high: RATES[high] };
}
