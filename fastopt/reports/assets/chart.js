// Line charts on a canvas: linear or logarithmic axes, a cursor that mouse, touch and arrow keys move.
const DASHES = [[], [7, 3], [2, 3], [9, 3, 2, 3], [5, 2], [1, 2], [12, 4], [4, 4, 1, 4]];

/** The canvas at the screen's resolution: its context, width and height in CSS pixels. */
function prepare(canvas, height) {
  const ratio = devicePixelRatio || 1, w = canvas.clientWidth || canvas.parentElement.clientWidth, h = height;
  canvas.style.height = `${h}px`;
  canvas.width = Math.round(w * ratio);
  canvas.height = Math.round(h * ratio);
  const ctx = canvas.getContext("2d");
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  ctx.clearRect(0, 0, w, h);
  ctx.font = "12px system-ui,sans-serif";
  return { ctx, w, h };
}

/** Round values between low and high, some count of them. */
function ticks(low, high, count) {
  const raw = (high - low) / Math.max(1, count);
  if (!(raw > 0) || !Number.isFinite(raw)) return [low];
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((s) => s * power >= raw * 0.999);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) found.push(i * step);
  return found;
}

function tickText(value) {
  const size = Math.abs(value);
  if (value === 0) return "0";
  if (size >= 1e5 || size < 1e-3) {
    const [digit, power] = value.toExponential(1).split("e");
    return `${+digit}e${+power}`.replace(/-/g, "−");
  }
  return String(+value.toPrecision(6)).replace("-", "−");
}

/** From data to pixels and back. span: [low, high]; pixels: [from, to]; logarithmic or not. */
function scale(span, pixels, log) {
  const f = log ? Math.log10 : (v) => v, back = log ? (v) => 10 ** v : (v) => v;
  const low = f(span[0]), high = f(span[1]), [from, to] = pixels;
  const s = (v) => from + ((f(v) - low) / (high - low)) * (to - from);
  s.invert = (p) => back(low + ((p - from) / (to - from)) * (high - low));
  s.ticks = (count) => {
    if (!log) return ticks(low, high, count);
    if (high - low < 1) return ticks(span[0], span[1], count).filter((v) => v > 0);
    const whole = ticks(Math.floor(low), Math.ceil(high), count).filter((v) => Number.isInteger(v) && v >= low && v <= high).map(back);
    if (whole.length > 2 || high - low > 3) return whole;
    return [0, 1, 2, 3].flatMap((k) => [1, 2, 5].map((d) => d * 10 ** (Math.floor(low) + k))).filter((v) => v >= span[0] && v <= span[1]);
  };
  return s;
}

/** Axes with ticks and labels; returns the box. */
function axes(ctx, box, sx, sy, xLabel, yLabel) {
  ctx.strokeStyle = colour("--grid");
  ctx.fillStyle = colour("--soft");
  ctx.lineWidth = 1;
  ctx.textAlign = "center";
  ctx.textBaseline = "top";
  for (const t of sx.ticks(Math.max(2, (box.right - box.left) / 70))) {
    const x = Math.round(sx(t)) + 0.5;
    line(ctx, x, box.top, x, box.bottom);
    if (x < box.right - 8) ctx.fillText(tickText(t), x, box.bottom + 5);
  }
  ctx.textAlign = "right";
  ctx.textBaseline = "middle";
  for (const t of sy.ticks(Math.max(2, (box.bottom - box.top) / 40))) {
    const y = Math.round(sy(t)) + 0.5;
    line(ctx, box.left, y, box.right, y);
    ctx.fillText(tickText(t), box.left - 6, y);
  }
  ctx.textAlign = "right";
  ctx.textBaseline = "bottom";
  ctx.fillStyle = colour("--text");
  ctx.fillText(xLabel, box.right, box.bottom + 34);
  ctx.textAlign = "left";
  ctx.textBaseline = "top";
  ctx.fillText(yLabel, 4, 2);
  ctx.strokeStyle = colour("--line");
  ctx.strokeRect(box.left + 0.5, box.top + 0.5, box.right - box.left, box.bottom - box.top);
}

function line(ctx, x0, y0, x1, y1) {
  ctx.beginPath();
  ctx.moveTo(x0, y0);
  ctx.lineTo(x1, y1);
  ctx.stroke();
}

/** A mark that tells series apart without colours: shape 0..7. */
function mark(ctx, shape, x, y, r) {
  ctx.beginPath();
  const turn = [0, Math.PI / 4, -Math.PI / 2, 0, Math.PI / 2, -Math.PI / 2, Math.PI / 6, 0][shape % 8];
  const corners = [0, 4, 3, 4, 3, 5, 6, 0][shape % 8];
  if (!corners) ctx.arc(x, y, r * (shape === 7 ? 0.7 : 1), 0, 2 * Math.PI);
  for (let i = 0; i < corners; i++) {
    const a = turn + (2 * Math.PI * i) / corners;
    ctx[i ? "lineTo" : "moveTo"](x + 1.2 * r * Math.cos(a), y + 1.2 * r * Math.sin(a));
  }
  ctx.closePath();
  ctx.fill();
  ctx.stroke();
}

class Chart {
  /** options: xLabel, yLabel, xLog, yLog, height, describe(text), onCursor(x). Series: name, x, y, colour, dash, shape. */
  constructor(canvas, options) {
    this.canvas = canvas;
    this.options = { height: 260, xLog: false, yLog: false, ...options };
    this.series = [];
    this.cursor = null;
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "img");
    const at = (event) => this._move(this.sx.invert(event.clientX - canvas.getBoundingClientRect().left));
    canvas.addEventListener("pointermove", (event) => { if (event.pointerType === "mouse" || event.buttons) at(event); });
    canvas.addEventListener("pointerdown", at);
    canvas.addEventListener("keydown", (event) => this._key(event));
    onLook(() => this.draw());
  }

  show(series, options = {}) {
    Object.assign(this.options, options);
    this.series = series;
    this.draw();
  }

  _key(event) {
    const direction = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!direction || !this.series.length) return;
    event.preventDefault();
    const { left, right } = this.box, now = this.cursor == null ? left : this.sx(this.cursor);
    const by = event.shiftKey ? (right - left) / 10 : Math.max(1, (right - left) / 200);
    this._move(this.sx.invert(Math.min(right, Math.max(left, now + direction * by))));
  }

  _move(x) {
    const [low, high] = this.span.x;
    this.cursor = Math.min(high, Math.max(low, x));
    this.draw();
    this.options.onCursor?.(this.cursor);
  }

  _spans() {
    const o = this.options, usable = (v, log) => v != null && Number.isFinite(v) && (!log || v > 0);
    const span = (key, log) => {
      let low = Infinity, high = -Infinity;
      for (const s of this.series)
        for (let i = 0; i < s[key].length; i++) {
          const v = s[key][i];
          if (usable(v, log)) { if (v < low) low = v; if (v > high) high = v; }
        }
      if (!(low <= high)) return log ? [0.1, 1] : [0, 1];
      if (low === high) return log ? [low / 2, high * 2] : [low - 0.5, high + 0.5];
      return [low, high];
    };
    const x = o.x || span("x", o.xLog), y = o.y || span("y", o.yLog);
    if (o.y) return { x, y };
    if (o.yLog) return { x, y: [y[0] / (y[1] / y[0]) ** 0.04, y[1] * (y[1] / y[0]) ** 0.04] };
    const room = 0.05 * (y[1] - y[0]);
    return { x, y: [y[0] - room, y[1] + room] };
  }

  draw() {
    const { ctx, w, h } = prepare(this.canvas, this.options.height), o = this.options;
    this.span = this._spans();
    this.box = { left: 58, top: 20, right: w - 10, bottom: h - 38 };
    const { left, top, right, bottom } = this.box;
    this.sx = scale(this.span.x, [left, right], o.xLog);
    this.sy = scale(this.span.y, [bottom, top], o.yLog);
    axes(ctx, this.box, this.sx, this.sy, o.xLabel || "", o.yLabel || "");
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, right - left, bottom - top);
    ctx.clip();
    for (const s of this.series) this._line(ctx, s);
    if (this.cursor != null) this._cursor(ctx);
    ctx.restore();
  }

  _line(ctx, s) {
    ctx.strokeStyle = s.colour;
    ctx.fillStyle = s.colour;
    ctx.lineWidth = s.width || 1.8;
    ctx.setLineDash(s.dash || []);
    ctx.globalAlpha = s.alpha ?? 1;
    ctx.beginPath();
    let open = false;
    for (let i = 0; i < s.x.length; i++) {
      const y = s.y[i];
      if (y == null || Number.isNaN(y) || (this.options.yLog && !(y > 0)) || (this.options.xLog && !(s.x[i] > 0))) {
        open = false;
        continue;
      }
      const px = this.sx(s.x[i]), py = Math.max(-1e4, Math.min(1e4, this.sy(y)));
      if (open) ctx.lineTo(px, py);
      else ctx.moveTo(px, py);
      open = true;
    }
    if (!s.dots) ctx.stroke();
    ctx.setLineDash([]);
    if (s.dots || s.x.length === 1)
      for (let i = 0; i < s.x.length; i++) if (s.y[i] != null) mark(ctx, s.shape || 0, this.sx(s.x[i]), this.sy(s.y[i]), 3);
    ctx.globalAlpha = 1;
  }

  _cursor(ctx) {
    const x = this.sx(this.cursor);
    ctx.strokeStyle = colour("--soft");
    ctx.lineWidth = 1;
    ctx.setLineDash([3, 3]);
    line(ctx, x, this.box.top, x, this.box.bottom);
    ctx.setLineDash([]);
    for (const s of this.series) {
      const i = nearest(s.x, this.cursor);
      if (i < 0 || s.y[i] == null) continue;
      ctx.fillStyle = s.colour;
      ctx.strokeStyle = colour("--bg");
      mark(ctx, s.shape || 0, this.sx(s.x[i]), this.sy(s.y[i]), 4);
    }
  }
}

/** The place in ascending x that lies nearest to value. */
function nearest(x, value) {
  let low = 0, high = x.length - 1;
  if (high < 0) return -1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (x[middle] <= value) low = middle;
    else high = middle;
  }
  return value - x[low] <= x[high] - value ? low : high;
}
