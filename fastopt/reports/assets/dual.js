// Numbers with two derivatives, [value, d/dx0, d/dx1]; plain numbers are constants. Forward differentiation.
const D = (() => {
  const chain = (a, value, slope) => (typeof a === "number" ? value : [value, slope * a[1], slope * a[2]]);
  const value = (a) => (typeof a === "number" ? a : a[0]);
  const of = (f, slope) => (a) => { const v = value(a), y = f(v); return chain(a, y, typeof a === "number" ? 0 : slope(v, y)); };
  const both = (a, b, y, da, db) => {
    if (typeof a === "number") return typeof b === "number" ? y : [y, db * b[1], db * b[2]];
    if (typeof b === "number") return [y, da * a[1], da * a[2]];
    return [y, da * a[1] + db * b[1], da * a[2] + db * b[2]];
  };
  const add = (a, b) => both(a, b, value(a) + value(b), 1, 1);
  const sub = (a, b) => both(a, b, value(a) - value(b), 1, -1);
  const mul = (a, b) => both(a, b, value(a) * value(b), value(b), value(a));
  const div = (a, b) => { const u = value(a), v = value(b), y = u / v; return both(a, b, y, 1 / v, -y / v); };
  const pow = (a, b) => {
    const u = value(a), v = value(b);
    if (typeof b === "number") {
      if (v === 2) return chain(a, u * u, 2 * u);
      return chain(a, u ** v, v === 0 ? 0 : v * u ** (v - 1));
    }
    const y = u ** v;
    return both(a, b, y, v * u ** (v - 1), y * Math.log(u));
  };
  const max = (a, b) => (value(a) >= value(b) ? a : b), min = (a, b) => (value(a) <= value(b) ? a : b);
  const sqrt = of(Math.sqrt, (v, y) => 0.5 / y);
  return {
    value, add, sub, mul, div, pow, max, min, sqrt,
    neg: (a) => chain(a, -value(a), -1),
    square: (a) => chain(a, value(a) * value(a), 2 * value(a)),
    exp: of(Math.exp, (v, y) => y), log: of(Math.log, (v) => 1 / v), log1p: of(Math.log1p, (v) => 1 / (1 + v)),
    expm1: of(Math.expm1, (v, y) => y + 1), sin: of(Math.sin, Math.cos), cos: of(Math.cos, (v) => -Math.sin(v)),
    tan: of(Math.tan, (v, y) => 1 + y * y), tanh: of(Math.tanh, (v, y) => 1 - y * y), sinh: of(Math.sinh, Math.cosh),
    cosh: of(Math.cosh, Math.sinh), atan: of(Math.atan, (v) => 1 / (1 + v * v)), abs: of(Math.abs, Math.sign),
    sign: of(Math.sign, () => 0), floor: of(Math.floor, () => 0), hypot: (a, b) => sqrt(add(mul(a, a), mul(b, b))),
  };
})();
