// A function of two numbers as a picture: shaded contours, and a surface in three dimensions.

/** Values on a grid with heights that spread small and large values: z in 0..1. */
function sample(value, box, nx, ny) {
  const [x0, x1, y0, y1] = box, values = new Float64Array(nx * ny);
  for (let j = 0; j < ny; j++)
    for (let i = 0; i < nx; i++)
      values[j * nx + i] = value([x0 + ((x1 - x0) * i) / (nx - 1), y0 + ((y1 - y0) * j) / (ny - 1)]);
  const sorted = Array.from(values).filter(Number.isFinite).sort((a, b) => a - b);
  const low = sorted[0] ?? 0, high = sorted[sorted.length - 1] ?? 1, middle = sorted[sorted.length >> 1] ?? 0.5;
  // log(1 + c(f - low)): c so that the median stands at about half the height
  let c = 1e-9;
  const share = (c) => Math.log1p(c * (middle - low)) / Math.log1p(c * (high - low));
  for (let k = 0; k < 60 && share(c / (high - low || 1)) < 0.5; k++) c *= 2;
  c /= high - low || 1;
  const top = Math.log1p(c * (high - low)) || 1;
  const height = (f) => Math.log1p(Math.max(0, c * (f - low))) / top;
  return { values, nx, ny, box, height, z: Float64Array.from(values, (f) => (Number.isFinite(f) ? height(f) : 1)) };
}

function rgb(text) {
  const hex = text.replace("#", ""), full = hex.length === 3 ? [...hex].map((c) => c + c).join("") : hex;
  return [0, 2, 4].map((i) => parseInt(full.slice(i, i + 2), 16));
}

/** Shaded heights with contour lines, as a canvas of w x h pixels. */
function contourPicture(grid, w, h, levels = 13) {
  const small = element("canvas", { width: grid.nx, height: grid.ny }), image = new ImageData(grid.nx, grid.ny);
  const low = rgb(colour("--low")), high = rgb(colour("--high"));
  for (let j = 0; j < grid.ny; j++)
    for (let i = 0; i < grid.nx; i++) {
      const z = grid.z[j * grid.nx + i], at = 4 * ((grid.ny - 1 - j) * grid.nx + i);
      for (let c = 0; c < 3; c++) image.data[at + c] = low[c] + z * (high[c] - low[c]);
      image.data[at + 3] = 255;
    }
  small.getContext("2d").putImageData(image, 0, 0);
  const ratio = devicePixelRatio || 1, picture = element("canvas", { width: w * ratio, height: h * ratio });
  const ctx = picture.getContext("2d");
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  ctx.imageSmoothingQuality = "high";
  ctx.drawImage(small, 0, 0, w, h);
  ctx.strokeStyle = colour("--soft");
  ctx.globalAlpha = 0.45;
  ctx.lineWidth = 0.8;
  ctx.beginPath();
  const px = (i) => (i / (grid.nx - 1)) * w, py = (j) => h - (j / (grid.ny - 1)) * h;
  for (let k = 0; k < levels; k++) marchingSquares(grid, (k + 0.5) / levels, (a, b) => {
    ctx.moveTo(px(a[0]), py(a[1]));
    ctx.lineTo(px(b[0]), py(b[1]));
  });
  ctx.stroke();
  return picture;
}

/** draw(a, b) for each piece of the line where z is level; a, b in places of the grid. */
function marchingSquares({ z, nx, ny }, level, draw) {
  for (let j = 0; j + 1 < ny; j++)
    for (let i = 0; i + 1 < nx; i++) {
      const at = j * nx + i, a = z[at], b = z[at + 1], c = z[at + nx + 1], d = z[at + nx], cuts = [];
      if (a > level !== b > level) cuts.push([i + (level - a) / (b - a), j]);
      if (b > level !== c > level) cuts.push([i + 1, j + (level - b) / (c - b)]);
      if (d > level !== c > level) cuts.push([i + (level - d) / (c - d), j + 1]);
      if (a > level !== d > level) cuts.push([i, j + (level - a) / (d - a)]);
      for (let k = 0; k + 1 < cuts.length; k += 2) draw(cuts[k], cuts[k + 1]);
    }
}

/** The surface seen from an angle: project(u, v, z) of shares 0..1 gives pixels and depth. */
function perspective(w, h, turn, tilt) {
  const [s, c, st, ct] = [Math.sin(turn), Math.cos(turn), Math.sin(tilt), Math.cos(tilt)], size = Math.min(w, 1.25 * h) * 0.66;
  return (u, v, z) => {
    const x = u - 0.5, y = v - 0.5, a = x * c - y * s, b = x * s + y * c;
    return [w / 2 + a * size, h * 0.56 + (b * st - (z - 0.45) * 0.7 * ct) * size, b];
  };
}

/** Quadrilaterals from back to front, shaded by height. */
function surfacePicture(ctx, grid, project) {
  const low = rgb(colour("--low")), high = rgb(colour("--high")), quads = [];
  const n = grid.nx, m = grid.ny;
  for (let j = 0; j + 1 < m; j++)
    for (let i = 0; i + 1 < n; i++) {
      const corners = [[i, j], [i + 1, j], [i + 1, j + 1], [i, j + 1]].map(([p, q]) => project(p / (n - 1), q / (m - 1), grid.z[q * n + p]));
      quads.push({ corners, depth: corners.reduce((sum, p) => sum + p[2], 0), z: grid.z[j * n + i] });
    }
  quads.sort((a, b) => a.depth - b.depth);
  ctx.lineWidth = 0.5;
  ctx.strokeStyle = colour("--soft");
  for (const { corners, z } of quads) {
    ctx.fillStyle = `rgb(${low.map((v, k) => Math.round(v + z * (high[k] - v)))})`;
    ctx.beginPath();
    corners.forEach((p, k) => ctx[k ? "lineTo" : "moveTo"](p[0], p[1]));
    ctx.closePath();
    ctx.fill();
    ctx.stroke();
  }
}
