// The page of a surface, after common.js.  In order: geometry; the view; drawing; marks; the panel; what the user does.
(async () => {
const { about, data } = await unpacked();
const xyz = data.vertices, offsets = data.offsets, corners = data.polygons;
const nPolygons = offsets.length - 1;

// ---- geometry: small vectors, polygons' normals, and what a ray meets

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const plus = (a, s, b) => [a[0] + s * b[0], a[1] + s * b[1], a[2] + s * b[2]];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const corner = (k) => xyz.subarray(3 * corners[k], 3 * corners[k] + 3);
const after = (f, k) => corner(k + 1 < offsets[f + 1] ? k + 1 : offsets[f]);

const normals = new Float64Array(3 * nPolygons);
for (let f = 0; f < nPolygons; f++) {
  const a = corner(offsets[f]);
  let n = [0, 0, 0];
  for (let k = offsets[f]; k < offsets[f + 1]; k++) n = plus(n, 1, cross(plus(corner(k), -1, a), plus(after(f, k), -1, a)));
  const length = Math.hypot(...n) || 1;
  normals.set(n.map((v) => v / length), 3 * f);
}
const normal = (f) => normals.subarray(3 * f, 3 * f + 3);

/** Whether a point of a polygon's plane lies in the polygon. */
function holds(f, point) {
  const n = normal(f);
  for (let k = offsets[f]; k < offsets[f + 1]; k++) {
    const a = corner(k);
    if (dot(cross(plus(after(f, k), -1, a), plus(point, -1, a)), n) < 0) return false;
  }
  return true;
}
/** The polygon that a ray meets first, -1 if none. */
function hit(origin, ray) {
  let first = -1, nearest = Infinity;
  for (let f = 0; f < nPolygons; f++) {
    const n = normal(f), slope = dot(ray, n), t = dot(plus(corner(offsets[f]), -1, origin), n) / slope;
    if (t > 0 && t < nearest && holds(f, plus(origin, t, ray))) { first = f; nearest = t; }
  }
  return first;
}
/** The surface's point that is nearest to a point, and its polygon. */
function nearest(point) {
  let best = { f: -1, distance: Infinity, at: point };
  const offer = (f, at) => {
    const distance = Math.hypot(...plus(at, -1, point));
    if (distance < best.distance) best = { f, distance, at };
  };
  for (let f = 0; f < nPolygons; f++) {
    const n = normal(f), foot = plus(point, dot(plus(corner(offsets[f]), -1, point), n), n);
    if (holds(f, foot)) { offer(f, foot); continue; }
    for (let k = offsets[f]; k < offsets[f + 1]; k++) {
      const a = corner(k), along = plus(after(f, k), -1, a), square = dot(along, along);
      offer(f, plus(a, square ? Math.max(0, Math.min(1, dot(plus(point, -1, a), along) / square)) : 0, along));
    }
  }
  return best;
}
function center(f) {
  let sum = [0, 0, 0];
  for (let k = offsets[f]; k < offsets[f + 1]; k++) sum = plus(sum, 1 / (offsets[f + 1] - offsets[f]), corner(k));
  return sum;
}

// ---- view: the point looked at, from where, and how near

const plane = $("plane"), [low, high] = about.bounds;
const middle = low.map((v, i) => (v + high[i]) / 2), radius = Math.hypot(...low.map((v, i) => high[i] - v)) / 2;
const view = { x: 0, y: 0, z: 0, yaw: 0, pitch: 0, zoom: 1, width: 1, height: 1 };
const HALF = Math.tan(17.5 * Math.PI / 180);
const target = () => [view.x, view.y, view.z];
/** The eye's axes (to the right, up, towards the eye), its distance from the target, and pixels per unit at distance 1. */
function camera() {
  const [sy, cy, sp, cp] = [Math.sin(view.yaw), Math.cos(view.yaw), Math.sin(view.pitch), Math.cos(view.pitch)];
  return {
    right: [-sy, cy, 0], up: [-cy * sp, -sy * sp, cp], back: [cy * cp, sy * cp, sp],
    distance: 1.12 * radius / HALF / view.zoom, focus: Math.min(view.width, view.height) / 2 / HALF,
  };
}
/** Where a point is in the view, in CSS pixels, and how far from the eye. */
function toScreen(x, y, z) {
  const c = camera(), q = plus([x, y, z], -1, target()), depth = c.distance - dot(q, c.back);
  return [view.width / 2 + c.focus * dot(q, c.right) / depth, view.height / 2 - c.focus * dot(q, c.up) / depth, depth];
}
/** The ray from the eye through a place in the view. */
function rayAt(px, py) {
  const c = camera(), x = (px - view.width / 2) / c.focus, y = (view.height / 2 - py) / c.focus;
  return [plus(target(), c.distance, c.back), plus(plus(plus([0, 0, 0], -1, c.back), x, c.right), y, c.up)];
}
/** The polygon at a place in the view, -1 if there is none. */
const pick = (px, py) => hit(...rayAt(px, py));
function moveTo(point) {
  [view.x, view.y, view.z] = point.map((v, i) => Math.max(low[i], Math.min(high[i], v)));
  redraw();
}
/** Move by pixels of the view. */
function pan(dx, dy) {
  const c = camera(), unit = c.distance / c.focus;
  moveTo(plus(plus(target(), -dx * unit, c.right), dy * unit, c.up));
}
function turn(yaw, pitch) {
  view.yaw += yaw;
  view.pitch = Math.max(-Math.PI / 2, Math.min(Math.PI / 2, view.pitch + pitch));
  redraw();
}
function zoomBy(factor) { view.zoom = Math.max(0.4, Math.min(1e4, view.zoom * factor)); redraw(); }
function showAll() {
  Object.assign(view, { x: middle[0], y: middle[1], z: middle[2], yaw: -Math.PI / 3, pitch: Math.PI / 7, zoom: 1 });
  redraw();
}
/** Bring a point of polygon f to the centre, seen straight on, from the nearer side of the polygon if it shows there. */
function face(f, point) {
  const n = normal(f), nearer = dot(n, camera().back) < 0 ? -1 : 1;
  view.zoom = Math.max(view.zoom, Math.min(1e4, 0.15 * radius / Math.sqrt(Math.max(data.areas[f], 1e-12 * radius * radius))));
  moveTo(point);
  for (const side of [nearer, -nearer, nearer]) {
    if (Math.abs(n[2]) < 0.999) view.yaw = Math.atan2(side * n[1], side * n[0]);
    view.pitch = Math.asin(Math.max(-1, Math.min(1, side * n[2])));
    if (pick(view.width / 2, view.height / 2) === f) return;
  }
}

// ---- drawing with WebGL: positions from the domain's middle, light from beside the eye, on both sides of polygons

const PLACE = `uniform mat3 axes; uniform vec3 at; uniform float distance_; uniform vec2 scale; uniform vec2 range;
vec4 place(vec3 p, float nearer) { vec3 q = (p - at) * axes; float depth = distance_ - q.z;
  float z = ((range.y + range.x) * depth - 2.0 * range.x * range.y) / (range.y - range.x);
  return vec4(q.xy * scale, z - nearer * depth, depth); }`;
const FACES = [`#version 300 es
precision highp float; in vec3 corner; in vec3 normal; in float polygon; uniform highp sampler2D colors; uniform float shade;
flat out vec3 ink; ${PLACE}
void main() { int f = int(polygon); vec3 n = normal * axes;
  float light = 1.0 - shade * (1.0 - abs(dot(n, vec3(-0.31, 0.42, 0.85))));
  ink = texelFetch(colors, ivec2(f & 1023, f >> 10), 0).rgb * light; gl_Position = place(corner, 0.0); }`, `#version 300 es
precision highp float; flat in vec3 ink; out vec4 color; void main() { color = vec4(ink, 1); }`];
const LINES = [`#version 300 es
precision highp float; in float side; in vec3 a; in vec3 b; uniform float width; uniform vec2 size; uniform vec3 hidden; ${PLACE}
void main() { vec4 p = place(a, 0.0008), q = place(b, 0.0008); int k = int(side); vec4 own = (k & 1) == 0 ? p : q;
  if (min(p.w, q.w) <= range.x || a == hidden || b == hidden) { gl_Position = vec4(2, 2, 2, 1); return; }
  vec2 d = (q.xy / q.w - p.xy / p.w) * size; float l = length(d); d = l > 0.0 ? d / l : vec2(1, 0);
  own.xy += vec2(-d.y, d.x) * ((k & 2) == 0 ? -1.0 : 1.0) * width / size * own.w; gl_Position = own; }`, `#version 300 es
precision highp float; uniform vec4 ink; out vec4 color; void main() { color = vec4(ink.rgb * ink.a, ink.a); }`];
const ENDS = [[0, 1], [2, 3], [4, 5], [6, 7], [0, 2], [1, 3], [4, 6], [5, 7], [0, 4], [1, 5], [2, 6], [3, 7]];
const boxCorner = (k) => [k & 1, (k >> 1) & 1, k >> 2].map((bit, i) => (bit ? high : low)[i]);

function painterOf(canvas) {
  const gl = canvas.getContext("webgl2", { antialias: true, alpha: true, premultipliedAlpha: true });
  if (!gl) throw new Error("there is no WebGL 2 here");
  const faces = glProgram(gl, FACES), lines = glProgram(gl, LINES);
  const centered = (n, point) => {
    const out = new Float32Array(3 * n);
    for (let k = 0; k < n; k++) out.set(plus(point(k), -1, middle), 3 * k);
    return out;
  };
  const faceArray = gl.createVertexArray();
  gl.bindVertexArray(faceArray);
  glAttribute(gl, faces, "corner", centered(corners.length, corner), 3);
  const { owner, size } = glFans(gl, offsets, corners), own = new Float32Array(3 * corners.length);
  for (let k = 0; k < corners.length; k++) own.set(normal(owner[k]), 3 * k);
  glAttribute(gl, faces, "polygon", owner, 1);
  glAttribute(gl, faces, "normal", own, 3);
  const edges = glLines(gl, lines, centered(data.edges.length, (k) => xyz.subarray(3 * data.edges[k], 3 * data.edges[k] + 3)), 3);
  const box = glLines(gl, lines, centered(24, (k) => boxCorner(ENDS[k >> 1][k & 1])), 3);
  gl.bindVertexArray(null);
  const texture = gl.createTexture();
  const place = (p) => {
    const c = camera(), reach = radius + Math.hypot(...plus(target(), -1, middle));
    gl.useProgram(p.made);
    gl.uniformMatrix3fv(p.at("axes"), false, [...c.right, ...c.up, ...c.back]);
    gl.uniform3f(p.at("at"), ...plus(target(), -1, middle));
    gl.uniform1f(p.at("distance_"), c.distance);
    gl.uniform2f(p.at("scale"), 2 * c.focus / view.width, 2 * c.focus / view.height);
    gl.uniform2f(p.at("range"), Math.max(c.distance - reach, 0.02 * c.distance), c.distance + reach);
  };
  const drawLines = ({ made, size }, width, ink, hidden = [Infinity, 0, 0]) => {
    place(lines);
    gl.bindVertexArray(made);
    gl.uniform1f(lines.at("width"), width);
    gl.uniform2f(lines.at("size"), view.width, view.height);
    gl.uniform4f(lines.at("ink"), ...ink);
    gl.uniform3f(lines.at("hidden"), ...hidden);
    gl.drawElements(gl.TRIANGLES, size, gl.UNSIGNED_INT, 0);
  };
  const draw = (shown) => {
    const ratio = devicePixelRatio || 1;
    canvas.width = Math.round(view.width * ratio); canvas.height = Math.round(view.height * ratio);
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(0, 0, 0, 0); gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST); gl.enable(gl.BLEND); gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    place(faces);
    gl.bindVertexArray(faceArray);
    gl.uniform1f(faces.at("shade"), shown.shade);
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.drawElements(gl.TRIANGLES, size, gl.UNSIGNED_INT, 0);
    gl.depthMask(false);
    if (shown.edges) drawLines(edges, shown.width, [0.106, 0.137, 0.188, shown.opacity]);
    // Not those edges of the box that end in the corner before all others.
    const front = low.map((v, i) => (camera().back[i] > 0 ? high[i] : v));
    if (shown.box) drawLines(box, 1.2, [0.5, 0.54, 0.6, 0.9], plus(front, -1, middle).map(Math.fround));
    gl.depthMask(true);
    return glDone(gl);
  };
  return { setColors: (rgb) => glColors(gl, texture, rgb), draw };
}

const painter = painterOf($("regions"));
const total = data.areas.reduce((a, b) => a + b, 0);
let pointed = -1, kept = -1, crosshair = false, coloring = {};
const chosen = () => (kept >= 0 ? kept : pointed);

const redraw = paced(paint);
/** Draw all, or, if it is to be quick, no edges. */
function paint(quick) {
  const { width, height } = plane.getBoundingClientRect();
  view.width = Math.max(1, width); view.height = Math.max(1, height);
  // A typical polygon's width in pixels tells how much ink the edges may take.
  const c = camera(), length = Math.sqrt(total / nPolygons) * c.focus / c.distance;
  // Colours that stand for numbers are shaded less, so that the key can be read.
  const done = painter.draw({ edges: $("edges").checked && !quick, box: $("box").checked, width: length > 25 ? 1.3 : 1, shade: coloring.bar ? 0.25 : 0.48,
    opacity: Math.max(0.12, Math.min(0.9, length / 14)) });
  marks();
  if (crosshair && kept < 0) point(pick(view.width / 2, view.height / 2));
  return done;
}

// ---- marks: the chosen polygon, the centre, and the box's coordinates

function marks() {
  const canvas = $("marks"), ratio = devicePixelRatio || 1, pen = canvas.getContext("2d");
  canvas.width = Math.round(view.width * ratio); canvas.height = Math.round(view.height * ratio);
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  const f = chosen();
  if (f >= 0) {
    const ring = [];
    for (let k = offsets[f]; k < offsets[f + 1]; k++) ring.push(toScreen(...corner(k)));
    if (ring.every(([, , depth]) => depth > 0)) {
      pen.beginPath();
      for (const [x, y] of ring) pen.lineTo(x, y);
      pen.closePath(); pen.lineJoin = "round";
      for (const [width, color] of [[6, "white"], [3, "#0b3d91"]]) { pen.lineWidth = width; pen.strokeStyle = color; pen.stroke(); }
      // A polygon too small to see is ringed.
      const [x, y] = toScreen(...center(f));
      if (ring.every(([a, b]) => Math.hypot(a - x, b - y) < 6))
        for (const [width, color] of [[5, "white"], [2, "#0b3d91"]]) {
          pen.beginPath(); pen.arc(x, y, 12, 0, 7); pen.lineWidth = width; pen.strokeStyle = color; pen.stroke();
        }
    }
  }
  if (crosshair)
    for (const [width, color] of [[4, "white"], [1.5, "black"]]) {
      pen.beginPath(); pen.lineWidth = width; pen.strokeStyle = color;
      for (const [dx, dy] of [[9, 0], [0, 9]]) {
        pen.moveTo(view.width / 2 - dx, view.height / 2 - dy); pen.lineTo(view.width / 2 + dx, view.height / 2 + dy);
      }
      pen.stroke();
    }
  if ($("box").checked) boxLabels(pen);
}
/** Along one edge of the box per axis, that which lies farthest out in the view: its name and its ends' coordinates. */
function boxLabels(pen) {
  const style = getComputedStyle(document.body), [mx, my] = toScreen(...middle);
  pen.font = "12px system-ui, sans-serif"; pen.textAlign = "center"; pen.textBaseline = "middle";
  const label = (text, x, y) => {
    pen.lineWidth = 4; pen.strokeStyle = style.backgroundColor; pen.strokeText(text, x, y);
    pen.fillStyle = style.color; pen.fillText(text, x, y);
  };
  for (let axis = 0; axis < 3; axis++) {
    let best = null;
    for (const [a, b] of ENDS.slice(4 * axis, 4 * axis + 4)) {
      const p = toScreen(...boxCorner(a)), q = toScreen(...boxCorner(b));
      if (p[2] <= 0 || q[2] <= 0) continue;
      const x = (p[0] + q[0]) / 2, y = (p[1] + q[1]) / 2;
      // Of edges equally far out the lower one.
      const out = Math.hypot(x - mx, y - my) + (axis < 2 ? 0.6 * (y - my) : 0);
      if (!best || out > best.out) best = { p, q, x, y, out };
    }
    if (!best) continue;
    const away = Math.hypot(best.x - mx, best.y - my) || 1, dx = 16 * (best.x - mx) / away, dy = 16 * (best.y - my) / away;
    label(about.axes[axis], best.x + dx, best.y + dy);
    for (const [end, value] of [[best.p, low[axis]], [best.q, high[axis]]])
      label(number(value, 4), end[0] * 0.92 + best.x * 0.08 + dx, end[1] * 0.92 + best.y * 0.08 + dy);
  }
}

// ---- panel

function describe(f) {
  const n = about.output, d = 3, shown = about.maps.length;
  const row = data.maps.subarray((d + 1) * (f * shown + n), (d + 1) * (f * shown + n) + d);
  const c = center(f), region = data.regions[f];
  $("region").innerHTML = `<h2>Region <span id="region-number">${region}</span>${kept >= 0 ? " (kept)" : ""}</h2>
    <table><tr><td>polygon</td><td class="number" id="polygon-number">${f}</td></tr>
    <tr><td>area</td><td class="number" id="polygon-area">${number(data.areas[f])}</td></tr>
    <tr><td>corners</td><td class="number">${offsets[f + 1] - offsets[f]}</td></tr>
    <tr><td>their mean</td><td class="number">${c.map((v) => number(v, 6)).join(", ")}</td></tr>
    ${n < shown ? `<tr><td>slope</td><td class="number" id="slope">${number(Math.hypot(...row))}</td></tr>` : ""}</table>
    <h2>Map</h2>${mapLines(about, data, f)}<h2>Pattern</h2>${patternLines(about, patternOf(about, data, f))}`;
}
function point(f) {
  if (f === pointed) return;
  pointed = f;
  if (kept < 0) { if (f >= 0) describe(f); marks(); }
}
function keep(f) {
  kept = f;
  if (f >= 0) describe(f); else if (pointed >= 0) describe(pointed);
  marks();
}
function setColor(name) {
  painter.setColors(data[`color_${name}`]);
  coloring = about.colors.find((c) => c.name === name);
  showKey(coloring);
  redraw.whole();
}

// ---- what the user does

for (const { name } of about.colors) $("color").add(new Option(name, name));
$("color").value = about.color;
$("edges").checked = about.edges;
$("color").onchange = () => setColor($("color").value);
$("edges").onchange = $("box").onchange = redraw.whole;
$("closer").onclick = () => zoomBy(1.4);
$("farther").onclick = () => zoomBy(1 / 1.4);
$("whole").onclick = showAll;
$("theme").onclick = () => { switchTheme(); redraw.whole(); };
$("search").onsubmit = (event) => {
  event.preventDefault();
  const text = $("place").value.trim();
  const region = /^#\s*(\d+)$/.exec(text), place = text.split(/[\s,;]+/).filter(Boolean).map(Number);
  if (region) {
    const f = data.regions.indexOf(Number(region[1]));
    if (f < 0) return hint(`the surface does not meet a region #${region[1]}`);
    face(f, center(f)); keep(f);
    hint("");
  } else if (place.length === 3 && place.every(Number.isFinite)) {
    const { f, at, distance } = nearest(place);
    face(f, at); keep(f);
    hint(`the surface is ${number(distance, 4)} away`);
  } else hint(`cannot read "${text}"; write three numbers, such as 0.25, -0.5, 1, or a region's number, such as #17`);
};

const at = (event) => { const box = plane.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
const fingers = new Map();
let moved = 0;
plane.oncontextmenu = (event) => event.preventDefault();
plane.onpointerdown = (event) => { fingers.set(event.pointerId, at(event)); moved = 0; plane.setPointerCapture(event.pointerId); };
plane.onpointermove = (event) => {
  const now = at(event), before = fingers.get(event.pointerId);
  if (!before) { if (crosshair) { crosshair = false; redraw(); } return point(pick(...now)); }
  fingers.set(event.pointerId, now);
  const dx = now[0] - before[0], dy = now[1] - before[1];
  moved += Math.hypot(dx, dy);
  if (fingers.size === 2) {
    const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
    const spread = (p) => Math.max(1, Math.hypot(p[0] - other[0], p[1] - other[1]));
    pan(dx / 2, dy / 2);
    zoomBy(spread(now) / spread(before));
  } else if (event.shiftKey || event.buttons === 2) pan(dx, dy);
  else turn(-dx * 0.008, dy * 0.008);
};
plane.onpointerup = plane.onpointercancel = (event) => {
  fingers.delete(event.pointerId);
  if (event.type === "pointerup" && moved < 5) {
    const f = pick(...at(event));
    keep(f === kept ? -1 : f);
  }
};
plane.onpointerleave = () => { if (!fingers.size && !crosshair) point(-1); };
plane.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoomBy(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)));
}, { passive: false });
document.addEventListener("keydown", (event) => {
  if (event.target.closest?.("input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
  const go = (x, y) => { crosshair = true; if (event.shiftKey) pan(-40 * x, 40 * y); else turn(0.15 * x, 0.15 * y); };
  const act = {
    ArrowLeft: () => go(-1, 0), ArrowRight: () => go(1, 0), ArrowUp: () => go(0, 1), ArrowDown: () => go(0, -1),
    "+": () => zoomBy(1.4), "=": () => zoomBy(1.4), "-": () => zoomBy(1 / 1.4), 0: showAll, Escape: () => keep(-1),
    d: () => $("theme").click(), Enter: () => { if (event.target === plane && crosshair) keep(kept >= 0 ? -1 : pointed); },
  }[event.key];
  if (act) { if (event.key.startsWith("Arrow")) event.preventDefault(); act(); }
});
onResize(plane, redraw.whole);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw.whole);

showAll();
setColor(about.color);
hint("");
// For scripts around the page, and its tests.
window.geomrelu = { toScreen, rayAt, pick, nearest, view, showAll, face, polygons: nPolygons };
document.documentElement.dataset.ready = "true";
})().catch(cannotBeShown);
