// The page of the plane, after common.js.  In order: where a region is (index); the view; drawing; the panel; what the user does.
(async () => {
const { about, data } = await unpacked();
const xy = data.vertices, offsets = data.face_offsets, corners = data.face_vertices;
const nFaces = offsets.length - 1;

const pattern = (face) => patternOf(about, data, face);

// ---- index: a grid over the domain, each cell with the regions whose bounding boxes meet it

const [x0, y0, x1, y1] = about.bounds;
const cells = Math.max(1, Math.min(512, Math.round(Math.sqrt(nFaces))));
const column = (x) => Math.max(0, Math.min(cells - 1, Math.floor((x - x0) / (x1 - x0) * cells)));
const row = (y) => Math.max(0, Math.min(cells - 1, Math.floor((y - y0) / (y1 - y0) * cells)));
const boxes = new Float64Array(4 * nFaces);
for (let f = 0; f < nFaces; f++) {
  let a = Infinity, b = Infinity, c = -Infinity, d = -Infinity;
  for (let k = offsets[f]; k < offsets[f + 1]; k++) {
    const x = xy[2 * corners[k]], y = xy[2 * corners[k] + 1];
    if (x < a) a = x; if (x > c) c = x; if (y < b) b = y; if (y > d) d = y;
  }
  boxes.set([a, b, c, d], 4 * f);
}
const eachCell = (f, act) => {
  const right = column(boxes[4 * f + 2]), top = row(boxes[4 * f + 3]);
  for (let j = row(boxes[4 * f + 1]); j <= top; j++)
    for (let i = column(boxes[4 * f]); i <= right; i++) act(j * cells + i);
};
const cellStart = new Int32Array(cells * cells + 1);
for (let f = 0; f < nFaces; f++) eachCell(f, (c) => { cellStart[c + 1]++; });
for (let c = 0; c < cells * cells; c++) cellStart[c + 1] += cellStart[c];
const cellFaces = new Int32Array(cellStart[cells * cells]), filled = cellStart.slice();
for (let f = 0; f < nFaces; f++) eachCell(f, (c) => { cellFaces[filled[c]++] = f; });

function inside(f, x, y) {
  for (let k = offsets[f], last = offsets[f + 1]; k < last; k++) {
    const p = 2 * corners[k], q = 2 * corners[k + 1 < last ? k + 1 : offsets[f]];
    if ((xy[q] - xy[p]) * (y - xy[p + 1]) - (xy[q + 1] - xy[p + 1]) * (x - xy[p]) < 0) return false;
  }
  return true;
}
/** The region at a point, -1 outside the domain. */
function locate(x, y) {
  if (!(x >= x0 && x <= x1 && y >= y0 && y <= y1)) return -1;
  const c = row(y) * cells + column(x);
  for (let k = cellStart[c]; k < cellStart[c + 1]; k++) if (inside(cellFaces[k], x, y)) return cellFaces[k];
  return -1;
}

// ---- view: the point at the centre, and pixels per unit (CSS pixels; x and y have one scale unless the domain is thin)

const plane = $("plane");
const view = { x: (x0 + x1) / 2, y: (y0 + y1) / 2, zoom: 1, width: 1, height: 1 };
const slim = Math.max((x1 - x0) / (y1 - y0), (y1 - y0) / (x1 - x0)) > 20;
function scales() {
  const room = [0.92 * view.width / (x1 - x0), 0.92 * view.height / (y1 - y0)];
  const one = Math.min(...room);
  return (slim ? room : [one, one]).map((s) => s * view.zoom);
}
function toScreen(x, y) {
  const [sx, sy] = scales();
  return [view.width / 2 + (x - view.x) * sx, view.height / 2 - (y - view.y) * sy];
}
function toDomain(px, py) {
  const [sx, sy] = scales();
  return [view.x + (px - view.width / 2) / sx, view.y - (py - view.height / 2) / sy];
}
function moveTo(x, y) {
  view.x = Math.max(x0, Math.min(x1, x));
  view.y = Math.max(y0, Math.min(y1, y));
  redraw();
}
function zoomAt(factor, px = view.width / 2, py = view.height / 2) {
  const [x, y] = toDomain(px, py);
  view.zoom = Math.max(0.5, Math.min(1e13, view.zoom * factor));
  const [sx, sy] = scales();
  moveTo(x - (px - view.width / 2) / sx, y + (py - view.height / 2) / sy);
}
function showAll() { Object.assign(view, { x: (x0 + x1) / 2, y: (y0 + y1) / 2, zoom: 1 }); redraw(); }
function look(x, y, zoom) { view.zoom = zoom; moveTo(x, y); }
/** Show a region so that it takes about a third of the view. */
function showFace(f) {
  const [a, b, c, d] = boxes.subarray(4 * f, 4 * f + 4);
  view.zoom = 1;
  const [sx, sy] = scales();
  look((a + c) / 2, (b + d) / 2, Math.max(1, Math.min(1e13, 0.35 / Math.max((c - a) * sx / view.width, (d - b) * sy / view.height))));
}

// The regions' canvas reaches beyond the view by this share of it on every side: what comes into view first.
const MARGIN = 0.25;
/** Sets the canvas to its size; returns that, and how far it reaches beyond the view, in CSS pixels (width and height each). */
function fit(canvas) {
  const ratio = devicePixelRatio || 1, beyond = [view.width, view.height].map((v) => Math.ceil(v * MARGIN));
  const size = [view.width + 2 * beyond[0], view.height + 2 * beyond[1]];
  [canvas.width, canvas.height] = size.map((v) => Math.round(v * ratio));
  Object.assign(canvas.style, { left: `${-beyond[0]}px`, top: `${-beyond[1]}px`, width: `${size[0]}px`, height: `${size[1]}px` });
  return { ratio, size, beyond };
}

// ---- drawing with WebGL: coordinates as sums of two floats, so that the smallest regions can be looked at

const POSITION = `uniform vec4 center; uniform vec2 scale; uniform vec2 size;
vec2 place(vec4 p) { return ((p.xy - center.xy) + (p.zw - center.zw)) * scale; }`;
const FACES = [`#version 300 es
precision highp float; in vec4 at; in float face; uniform highp sampler2D colors; flat out vec4 ink; ${POSITION}
void main() { int f = int(face); ink = texelFetch(colors, ivec2(f & 1023, f >> 10), 0);
  gl_Position = vec4(place(at) * 2.0 / size, 0, 1); }`, `#version 300 es
precision highp float; flat in vec4 ink; out vec4 color; void main() { color = ink; }`];
const LINES = [`#version 300 es
precision highp float; in float side; in vec4 a; in vec4 b; in float edge_step; uniform float width; uniform vec4 ink;
uniform float creases; uniform vec3 stops[12]; out vec4 paint; ${POSITION}
void main() { float share = (edge_step - 0.5) / 64.0, s = clamp(share, 0.0, 1.0) * 11.0; int stop = min(int(s), 10);
  bool sharp = creases > 0.0 && edge_step > 0.0;
  float width = width * (creases > 0.0 ? (sharp ? 0.6 + 2.4 * share : 0.5) : 1.0);
  paint = sharp ? vec4(mix(stops[stop], stops[stop + 1], s - float(stop)), 1) : vec4(ink.rgb * ink.a, ink.a);
 vec2 p = place(a), q = place(b), d = q - p; float l = length(d); d = l > 0.0 ? d / l : vec2(1, 0);
  int k = int(side); vec2 end = (k & 1) == 0 ? p - d * width * 0.5 : q + d * width * 0.5;
  gl_Position = vec4((end + vec2(-d.y, d.x) * ((k & 2) == 0 ? -0.5 : 0.5) * width) * 2.0 / size, 0, 1); }`, `#version 300 es
precision highp float; in vec4 paint; out vec4 color; void main() { color = paint; }`];

const rgbOf = (hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));

function split(values, n, index) {
  // (x, y) pairs as float32 high parts and rests: x y x' y'
  const out = new Float32Array(4 * n);
  for (let k = 0; k < n; k++) {
    const v = 2 * index(k);
    for (let a = 0; a < 2; a++) {
      out[4 * k + a] = values[v + a];
      out[4 * k + 2 + a] = values[v + a] - out[4 * k + a];
    }
  }
  return out;
}

function glPainter(canvas) {
  const gl = canvas.getContext("webgl2", { antialias: true, alpha: true, premultipliedAlpha: true });
  if (!gl) return null;
  const faces = glProgram(gl, FACES), lines = glProgram(gl, LINES);
  const faceArray = gl.createVertexArray();
  gl.bindVertexArray(faceArray);
  glAttribute(gl, faces, "at", split(xy, corners.length, (k) => corners[k]), 4);
  const fans = glFans(gl, offsets, corners);
  glAttribute(gl, faces, "face", fans.owner, 1);
  const edges = glLines(gl, lines, split(xy, data.edges.length, (k) => data.edges[k]), 4, data.edge_steps);
  const boundary = glLines(gl, lines, split(data.boundary, data.boundary.length / 2, (k) => k), 4);
  gl.bindVertexArray(null);
  const texture = gl.createTexture(), setColors = (rgb) => glColors(gl, texture, rgb);
  let size;
  const place = (p) => {
    const [sx, sy] = scales(), cx = Math.fround(view.x), cy = Math.fround(view.y);
    gl.useProgram(p.made);
    gl.uniform4f(p.at("center"), cx, cy, view.x - cx, view.y - cy);
    gl.uniform2f(p.at("scale"), sx, sy);
    gl.uniform2f(p.at("size"), ...size);
  };
  const drawLines = (quads, width, ink, stops = null) => {
    place(lines);
    gl.uniform1f(lines.at("creases"), stops ? 1 : 0);
    if (stops) gl.uniform3fv(lines.at("stops"), stops.flatMap(rgbOf).map((v) => v / 255));
    gl.bindVertexArray(quads.made);
    gl.uniform1f(lines.at("width"), width);
    gl.uniform4f(lines.at("ink"), ...ink);
    gl.drawElements(gl.TRIANGLES, quads.size, gl.UNSIGNED_INT, 0);
  };
  const draw = (shown) => {
    ({ size } = fit(canvas));
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(0, 0, 0, 0); gl.clear(gl.COLOR_BUFFER_BIT);
    gl.enable(gl.BLEND); gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    place(faces);
    gl.bindVertexArray(faceArray);
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.drawElements(gl.TRIANGLES, fans.size, gl.UNSIGNED_INT, 0);
    if (shown.creases) drawLines(edges, shown.width, shown.faint, shown.creases);
    else if (shown.edges) {
      // On dark colours dark lines want a light casing, where there is room for it.
      if (shown.casing) drawLines(edges, shown.width + 1.6, [1, 1, 1, 0.35]);
      drawLines(edges, shown.width, [0.106, 0.137, 0.188, shown.opacity]);
    }
    if (shown.boundary) { drawLines(boundary, 4, [1, 1, 1, 1]); drawLines(boundary, 2, [0, 0, 0, 1]); }
    return glDone(gl);
  };
  return { setColors, draw };
}

/** Where there is no WebGL: the same picture by a 2-D canvas, of the regions in view only. */
function plainPainter(canvas) {
  const pen = canvas.getContext("2d");
  let rgb = null;
  const strokeAll = (n, ends, width, ink) => {
    pen.beginPath();
    for (let k = 0; k < n; k++) { const [a, b] = ends(k); pen.moveTo(...toScreen(...a)); pen.lineTo(...toScreen(...b)); }
    pen.lineWidth = width; pen.strokeStyle = ink; pen.stroke();
  };
  const point = (values, v) => [values[2 * v], values[2 * v + 1]];
  const draw = (shown) => {
    const { ratio, size, beyond } = fit(canvas);
    pen.setTransform(ratio, 0, 0, ratio, ...beyond.map((v) => v * ratio));
    const [left, top] = toDomain(-beyond[0], -beyond[1]), [right, bottom] = toDomain(size[0] - beyond[0], size[1] - beyond[1]);
    for (let f = 0; f < nFaces; f++) {
      if (boxes[4 * f] > right || boxes[4 * f + 2] < left || boxes[4 * f + 1] > top || boxes[4 * f + 3] < bottom) continue;
      pen.beginPath();
      for (let k = offsets[f]; k < offsets[f + 1]; k++) pen.lineTo(...toScreen(...point(xy, corners[k])));
      pen.fillStyle = pen.strokeStyle = `rgb(${rgb[3 * f]} ${rgb[3 * f + 1]} ${rgb[3 * f + 2]})`;
      pen.fill();
    }
    if (shown.creases)
      for (let k = 0; k < data.edge_steps.length; k++) {
        const step = data.edge_steps[k], share = (step - 0.5) / 64;
        const color = step ? shown.creases[Math.round(share * (shown.creases.length - 1))] : `rgb(128 128 128 / ${shown.faint[3]})`;
        strokeAll(1, () => [point(xy, data.edges[2 * k]), point(xy, data.edges[2 * k + 1])], shown.width * (step ? 0.6 + 2.4 * share : 0.5), color);
      }
    else if (shown.edges)
      strokeAll(data.edges.length / 2, (k) => [point(xy, data.edges[2 * k]), point(xy, data.edges[2 * k + 1])], shown.width, `rgb(27 35 48 / ${shown.opacity})`);
    if (shown.boundary)
      for (const [width, ink] of [[4, "white"], [2, "black"]])
        strokeAll(data.boundary.length / 4, (k) => [point(data.boundary, 2 * k), point(data.boundary, 2 * k + 1)], width, ink);
  };
  return { setColors: (values) => { rgb = values; }, draw };
}

const painter = glPainter($("regions")) ?? plainPainter($("regions"));
let pointed = -1, kept = -1, crosshair = false, coloring = {};
let picture = view; // what the last picture of the regions shows
const chosen = () => (kept >= 0 ? kept : pointed);

const redraw = paced(paint);
/** Draw all, or, if it is to be quick, move and stretch the last picture. */
function paint(quick) {
  const { width, height } = plane.getBoundingClientRect();
  view.width = Math.max(1, width); view.height = Math.max(1, height);
  const done = quick ? moveRegions() : drawRegions();
  marks();
  if (crosshair && kept < 0) point(locate(view.x, view.y));
  return done;
}

function moveRegions() {
  const [px, py] = toScreen(picture.x, picture.y), grown = view.zoom / picture.zoom;
  if (grown > 8 || grown < 1 / 8) return drawRegions(); // of the picture nothing, or nothing else, would be seen
  $("regions").style.transform = `translate(${px - view.width / 2}px, ${py - view.height / 2}px) scale(${grown})`;
}

function drawRegions() {
  picture = { ...view };
  $("regions").style.transform = "";
  const [sx, sy] = scales();
  // A typical edge's length in pixels tells how much ink the edges may take.
  const length = Math.sqrt((x1 - x0) * sx * (y1 - y0) * sy / nFaces);
  const opacity = Math.max(0.1, Math.min(0.9, length / 14));
  // In colours by crease the edges are what is shown; those that do not bend show with "edges" only.
  const creases = coloring.name === "crease" && coloring.bar ? barStops(coloring.bar) : null;
  const casing = length > 25 && coloring.bar !== undefined;
  return painter.draw({ edges: $("edges").checked, boundary: $("boundary").checked, width: length > 25 ? 1.3 : 0.9, opacity, casing, creases,
    faint: [0.5, 0.5, 0.5, $("edges").checked ? 0.5 * opacity : 0] });
}

function marks() {
  const canvas = $("marks"), ratio = devicePixelRatio || 1, pen = canvas.getContext("2d");
  canvas.width = Math.round(view.width * ratio); canvas.height = Math.round(view.height * ratio);
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  const style = getComputedStyle(document.body), ink = style.color;
  const f = chosen();
  if (f >= 0) {
    pen.beginPath();
    for (let k = offsets[f]; k < offsets[f + 1]; k++) pen.lineTo(...toScreen(xy[2 * corners[k]], xy[2 * corners[k] + 1]));
    pen.closePath(); pen.lineJoin = "round";
    for (const [width, color] of [[6, "white"], [3, "#0b3d91"]]) { pen.lineWidth = width; pen.strokeStyle = color; pen.stroke(); }
    // A region too small to see is ringed.
    const [a, b, c, d] = boxes.subarray(4 * f, 4 * f + 4), [l, t] = toScreen(a, d), [r, u] = toScreen(c, b);
    if (r - l < 8 && u - t < 8)
      for (const [width, color] of [[5, "white"], [2, "#0b3d91"]]) {
        pen.beginPath(); pen.arc((l + r) / 2, (t + u) / 2, 12, 0, 7); pen.lineWidth = width; pen.strokeStyle = color; pen.stroke();
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
  axes(pen, ink, style.backgroundColor);
}

/** Ticks at round numbers along the lower and the left border. */
function axes(pen, ink, paper) {
  const [sx, sy] = scales(), [left, top] = toDomain(0, 0), [right, bottom] = toDomain(view.width, view.height);
  pen.font = "12px system-ui, sans-serif"; pen.lineWidth = 1;
  const label = (text, px, py) => {
    pen.lineWidth = 4; pen.strokeStyle = paper; pen.strokeText(text, px, py);
    pen.fillStyle = ink; pen.fillText(text, px, py); pen.lineWidth = 1;
  };
  const ticks = (low, high, scale, draw) => {
    const rough = 110 / scale, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
    const digits = Math.max(0, Math.min(20, -Math.floor(Math.log10(step) + 1e-9)));
    for (let k = Math.ceil(low / step); k * step <= high; k++)
      draw(k * step, Math.abs(k * step) < 1e6 && digits <= 16 ? (k * step).toFixed(digits) : (k * step).toPrecision(12));
  };
  pen.strokeStyle = ink;
  pen.textAlign = "center"; pen.textBaseline = "bottom";
  ticks(Math.max(left, x0), Math.min(right, x1), sx, (x, text) => {
    const px = toScreen(x, 0)[0];
    if (px < 60) return;
    pen.strokeStyle = ink; pen.beginPath(); pen.moveTo(px, view.height); pen.lineTo(px, view.height - 6); pen.stroke();
    label(text, px, view.height - 7);
  });
  pen.textAlign = "left"; pen.textBaseline = "middle";
  ticks(Math.max(bottom, y0), Math.min(top, y1), sy, (y, text) => {
    const py = toScreen(0, y)[1];
    if (py > view.height - 25 || py < 32) return;
    pen.strokeStyle = ink; pen.beginPath(); pen.moveTo(0, py); pen.lineTo(6, py); pen.stroke();
    label(text, 9, py);
  });
  pen.textBaseline = "bottom"; pen.textAlign = "right";
  label(about.axes[0], view.width - 8, view.height - 7);
  pen.textBaseline = "top"; pen.textAlign = "left";
  label(about.axes[1], 9, 8);
}

// ---- panel

function describe(face) {
  const n = offsets[face + 1] - offsets[face];
  const [cx, cy] = data.centroids.subarray(2 * face, 2 * face + 2);
  $("region").innerHTML = `<h2>Region <span id="region-number">${face}</span>${kept >= 0 ? " (kept)" : ""}</h2>
    <table><tr><td>area</td><td class="number" id="region-area">${number(data.areas[face])}</td></tr>
    <tr><td>centroid</td><td class="number">${number(cx)}, ${number(cy)}</td></tr>
    <tr><td>sides</td><td class="number">${n}</td></tr></table>
    <h2>Map</h2>${mapLines(about, data, face)}<h2>Pattern</h2>${patternLines(about, pattern(face))}`;
}
function point(face) {
  if (face === pointed) return;
  pointed = face;
  if (kept < 0) { if (face >= 0) describe(face); marks(); }
}
function keep(face) {
  kept = face;
  if (face >= 0) describe(face); else if (pointed >= 0) describe(pointed);
  marks();
}

function setColor(name) {
  // Under creases all regions are plain, in the panel's colour.
  const fill = rgbOf(isDark() ? "#1e2229" : "#f4f5f7");
  painter.setColors(data[`color_${name}`] ?? new Uint8Array(3 * nFaces).map((_, k) => fill[k % 3]));
  coloring = about.colors.find((c) => c.name === name);
  showKey(coloring);
  redraw.whole();
}

// ---- what the user does

for (const { name } of about.colors) $("color").add(new Option(name, name));
$("color").value = about.color;
$("edges").checked = about.edges;
$("boundary").checked = about.boundary;
$("boundary").disabled = data.boundary.length === 0;
$("color").onchange = () => setColor($("color").value);
$("edges").onchange = $("boundary").onchange = redraw.whole;
$("closer").onclick = () => zoomAt(1.6);
$("farther").onclick = () => zoomAt(1 / 1.6);
$("whole").onclick = showAll;
const themed = () => setColor($("color").value);
$("theme").onclick = () => { switchTheme(); themed(); };
$("search").onsubmit = (event) => {
  event.preventDefault();
  const text = $("place").value.trim();
  const region = /^#\s*(\d+)$/.exec(text), place = text.split(/[\s,;]+/).filter(Boolean).map(Number);
  if (region) {
    const f = Number(region[1]);
    if (f >= nFaces) return hint(`there is no region #${f}; the last one is #${nFaces - 1}`);
    showFace(f); keep(f);
  } else if (place.length === 2 && place.every(Number.isFinite)) {
    const f = locate(...place);
    if (f < 0) return hint(`(${place.join(", ")}) lies outside the domain: x from ${number(x0, 5)} to ${number(x1, 5)}, y from ${number(y0, 5)} to ${number(y1, 5)}`);
    if (boxes[4 * f + 2] - boxes[4 * f] > 0) { showFace(f); moveTo(...place); }
    keep(f);
  } else return hint(`cannot read "${text}"; write two numbers, such as 0.25, -0.5, or a region's number, such as #17`);
  hint("");
};

const at = (event) => { const box = plane.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
const fingers = new Map();
let moved = 0;
plane.onpointerdown = (event) => { fingers.set(event.pointerId, at(event)); moved = 0; plane.setPointerCapture(event.pointerId); };
plane.onpointermove = (event) => {
  const now = at(event), before = fingers.get(event.pointerId);
  if (!before) { if (crosshair) { crosshair = false; redraw(); } return point(locate(...toDomain(...now))); }
  fingers.set(event.pointerId, now);
  moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
  if (fingers.size === 2) {
    const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
    const spread = (p) => Math.max(1, Math.hypot(p[0] - other[0], p[1] - other[1]));
    zoomAt(spread(now) / spread(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
  } else {
    const [sx, sy] = scales();
    moveTo(view.x - (now[0] - before[0]) / sx, view.y + (now[1] - before[1]) / sy);
  }
};
plane.onpointerup = plane.onpointercancel = (event) => {
  fingers.delete(event.pointerId);
  if (event.type === "pointerup" && moved < 5) {
    const f = locate(...toDomain(...at(event)));
    keep(f === kept ? -1 : f);
  }
};
plane.onpointerleave = () => { if (!fingers.size && !crosshair) point(-1); };
plane.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoomAt(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), ...at(event));
}, { passive: false });
document.addEventListener("keydown", (event) => {
  if (event.target.closest?.("input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
  const [sx, sy] = scales(), pan = (dx, dy) => { crosshair = true; moveTo(view.x + dx * 60 / sx, view.y + dy * 60 / sy); };
  const act = {
    ArrowLeft: () => pan(-1, 0), ArrowRight: () => pan(1, 0), ArrowUp: () => pan(0, 1), ArrowDown: () => pan(0, -1),
    "+": () => zoomAt(1.6), "=": () => zoomAt(1.6), "-": () => zoomAt(1 / 1.6), 0: showAll, Escape: () => keep(-1),
    d: () => $("theme").click(), Enter: () => { if (event.target === plane && crosshair) keep(kept >= 0 ? -1 : pointed); },
  }[event.key];
  if (act) { if (event.key.startsWith("Arrow")) event.preventDefault(); act(); }
});
onResize(plane, redraw.whole);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", themed);

setColor(about.color);
hint("");
// For scripts around the page, and its tests.
window.geomrelu = { locate, toScreen, toDomain, pattern, view, look, showAll, showFace, regions: nFaces };
document.documentElement.dataset.ready = "true";
})().catch(cannotBeShown);
