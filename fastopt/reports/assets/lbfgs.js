// A path of L-BFGS: LBFGS and HEAD_OF come from the package's algorithms/ (translate.py).
const LBFGS_FIELDS = { memory: 10 };

function lbfgsPath(h, surface, start, steps) {
  const x = Float64Array.from(start), g = new Float64Array(2), head = new Float64Array(HEAD_OF.SIZE);
  const work = new Float64Array(64 + 6 * h.memory), evaluate = (x, g) => { const [f, ...d] = surface.gradient(x); g.set(d); return f; };
  Object.entries({ GTOL: 1e-5, ENOUGH: 1e-5, TARGET: -Infinity, MAX_ITERATIONS: steps, MAX_EVALUATIONS: Infinity, EPS: 2 ** -52, MEMORY: h.memory, STRETCH: 1, STATUS: HEAD_OF.NEW })
    .forEach(([key, value]) => { head[HEAD_OF[key]] = value; });
  const path = { x: [start.slice()], f: [surface.value(start)], inside: [], evaluations: [0], diverged: null };
  while (path.x.length <= steps) {
    const before = [...surface.gradient(start = [...x])].slice(1);
    LBFGS({ evaluate, value: surface.value }, x, g, [], head, work);
    if (head[HEAD_OF.ITERATIONS] >= path.x.length) {
      path.inside.push({ g: before, slots: [], step: [x[0] - start[0], x[1] - start[1]], more: [["evaluations of the search", [head[HEAD_OF.EVALUATIONS] - path.evaluations.at(-1)]]] });
      path.x.push([...x]);
      path.f.push(head[HEAD_OF.F]);
      path.evaluations.push(head[HEAD_OF.EVALUATIONS]);
    }
    if (head[HEAD_OF.STATUS] !== HEAD_OF.RUNNING) break;
  }
  return path;
}
