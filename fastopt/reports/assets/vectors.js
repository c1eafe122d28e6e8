// algorithms/vectors.py by hand, as far as L-BFGS without bounds asks for it.
const V = {
  dot: (a, b) => { let sum = 0; for (let i = 0; i < a.length; i++) sum += a[i] * b[i]; return sum; },
  norm: (a) => {
    const most = V.largest(a);
    if (most === 0 || !Number.isFinite(most)) return most;
    let sum = 0;
    for (const v of a) sum += (v / most) ** 2;
    return most * Math.sqrt(sum);
  },
  part: (a, begin, size) => a.subarray(begin, begin + size),
  copy: (a, out) => out.set(a),
  fill: (value, out) => out.fill(value),
  move: (a, t, d, out) => { for (let i = 0; i < out.length; i++) out[i] = a[i] + t * d[i]; },
  move_dot: (a, t, d, b) => { let sum = 0; for (let i = 0; i < a.length; i++) { a[i] += t * d[i]; sum += a[i] * b[i]; } return sum; },
  subtract: (a, b, out) => { for (let i = 0; i < out.length; i++) out[i] = a[i] - b[i]; },
  scale: (t, out) => { for (let i = 0; i < out.length; i++) out[i] *= t; },
  multiply: (a, b, out) => { for (let i = 0; i < out.length; i++) out[i] = a[i] * b[i]; },
  largest: (a) => Math.max(0, ...Array.from(a, Math.abs)),
  largest_relative: (d, x) => Math.max(0, ...Array.from(d, (v, i) => Math.abs(v) / Math.max(1, Math.abs(x[i])))),
  projected_norm: (x, g) => V.largest(g),
  same: (a, b) => a.every((v, i) => v === b[i]),
};
