"use strict";
// What both pages share: the data, texts of the panel, the key of colours, WebGL programs, light and dark.

const $ = (id) => document.getElementById(id);
const hint = (text) => { $("hint").textContent = text; };
const number = (v, digits = 9) => String(Number(v.toPrecision(digits)));
const escapeText = (text) => text.replace(/[&<>]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[c]);

/** What the page is about, and its arrays, as geomrelu/page/document.py packs them: gzip in base64. */
async function unpacked() {
  const about = JSON.parse($("about").textContent);
  const text = atob($("arrays").textContent.trim()), packed = new Uint8Array(text.length);
  // A plain loop: Uint8Array.from takes a second for a page of 6 MB.
  for (let k = 0; k < text.length; k++) packed[k] = text.charCodeAt(k);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const buffer = await new Response(stream).arrayBuffer();
  const kinds = { float64: Float64Array, float32: Float32Array, int32: Int32Array, uint8: Uint8Array };
  const data = {};
  for (const { name, dtype, size, at } of about.arrays) data[name] = new kinds[dtype](buffer, at, size);
  return { about, data };
}

/** Active neurons of a face, a byte each: its pattern differs from its parent's by a few flips. */
function patternOf(about, data, face) {
  const bits = new Uint8Array(about.n_neurons);
  for (const j of data.root_active) bits[j] = 1;
  for (let f = face; data.parent[f] >= 0; f = data.parent[f])
    for (let k = data.flip_offsets[f]; k < data.flip_offsets[f + 1]; k++) bits[data.flips[k]] ^= 1;
  return bits;
}

function mapLines(about, data, face) {
  const lines = [], n = about.maps.length, d = about.axes.length;
  about.maps.forEach((name, k) => {
    const row = data.maps.subarray((d + 1) * (face * n + k), (d + 1) * (face * n + k + 1));
    const terms = Array.from(row, (v, i) => {
      const unit = i < d ? " " + escapeText(about.axes[i]) : "";
      return i === 0 ? `${number(v)}${unit}` : `${v < 0 ? "− " : "+ "}${number(Math.abs(v))}${unit}`;
    });
    lines.push(`<div class="map" data-output="${k}" data-map="${row.join(" ")}">${escapeText(name)} = ${terms.join(" ")}</div>`);
  });
  if (about.maps_note) lines.push(`<p class="faint">${escapeText(about.maps_note)}</p>`);
  return lines.join("");
}
function patternLines(about, bits) {
  const parts = [];
  let at = 0;
  about.widths.forEach((width, layer) => {
    const own = bits.subarray(at, at + width), active = own.reduce((a, b) => a + b, 0);
    at += width;
    if (!width) return;
    let text = "";
    for (let k = 0; k < Math.min(width, 4096); k++) text += own[k] ? "<b>1</b>" : "0";
    if (width > 4096) text += " ...";
    parts.push(`<span class="faint">layer ${layer}: ${active} of ${width} active</span><div class="pattern" data-layer="${layer}">${text}</div>`);
  });
  return parts.join("");
}

const isDark = () => document.documentElement.dataset.theme === "dark" ||
  (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
/** Colours of a bar from low to high, those for dark paper if it has such and the paper is dark. */
const barStops = (bar) => (bar.dark && isDark() ? bar.dark : bar.stops);

function showKey(color) {
  const key = $("key");
  if (color.bar) {
    const stops = barStops(color.bar).join(", "), [low, high] = color.bar.ends;
    key.innerHTML = `<div class="bar" style="background: linear-gradient(to right, ${stops})"></div>
      <div class="ends number"><span>${number(low, 4)}</span><span>${escapeText(color.title)}${color.bar.log ? " (log)" : ""}</span><span>${number(high, 4)}</span></div>`;
  } else if (color.swatches) {
    key.innerHTML = color.swatches.map(([name, ink]) => `<label><span class="swatch" style="background: ${ink}"></span>${escapeText(name)}</label>`).join("");
  } else key.innerHTML = `<span class="faint">${escapeText(color.title)}</span>`;
}

function switchTheme() { document.documentElement.dataset.theme = isDark() ? "light" : "dark"; }

function glProgram(gl, [vertex, fragment]) {
  const made = gl.createProgram();
  for (const [kind, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text); gl.compileShader(shader); gl.attachShader(made, shader);
  }
  gl.linkProgram(made);
  if (!gl.getProgramParameter(made, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(made));
  return { made, at: (name) => gl.getUniformLocation(made, name) };
}
/** Floats that a program reads, `size` of them a vertex. */
function glAttribute(gl, p, name, values, size) {
  const where = gl.getAttribLocation(p.made, name);
  gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
  gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
  gl.enableVertexAttribArray(where);
  gl.vertexAttribPointer(where, size, gl.FLOAT, false, 0, 0);
}
/** Lines for a program that makes a quad of each: ends (n, 2, size), and perhaps how sharp each is. */
function glLines(gl, p, ends, size, steps = null) {
  // Four corners a line with all they need: instances would need less memory, but draw ten times slower without a GPU.
  const n = ends.length / (2 * size), made = gl.createVertexArray(), index = new Uint32Array(6 * n);
  const a = new Float32Array(4 * n * size), b = new Float32Array(4 * n * size), side = new Float32Array(4 * n);
  for (let k = 0; k < n; k++) {
    for (let c = 4 * k; c < 4 * k + 4; c++) {
      side[c] = c & 3;
      for (let i = 0; i < size; i++) { a[c * size + i] = ends[2 * k * size + i]; b[c * size + i] = ends[(2 * k + 1) * size + i]; }
    }
    for (let i = 0; i < 6; i++) index[6 * k + i] = 4 * k + [0, 1, 2, 2, 1, 3][i];
  }
  gl.bindVertexArray(made);
  for (const [name, values, width] of [["side", side, 1], ["a", a, size], ["b", b, size]]) glAttribute(gl, p, name, values, width);
  if (steps) glAttribute(gl, p, "edge_step", Float32Array.from(side, (_, c) => steps[c >> 2]), 1);
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
  gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, index, gl.STATIC_DRAW);
  return { made, size: index.length };
}
/** Corners' faces, and the faces as fans of triangles, whose indices go to the bound vertex array. */
function glFans(gl, offsets, corners) {
  const n = offsets.length - 1, owner = new Float32Array(corners.length), fan = new Uint32Array(3 * (corners.length - 2 * n));
  for (let f = 0, at = 0; f < n; f++) {
    owner.fill(f, offsets[f], offsets[f + 1]);
    for (let k = offsets[f] + 1; k + 1 < offsets[f + 1]; k++) { fan[at++] = offsets[f]; fan[at++] = k; fan[at++] = k + 1; }
  }
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
  gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, fan, gl.STATIC_DRAW);
  return { owner, size: fan.length };
}
/** Colours (n, 3) in bytes as a texture with 1024 in a row. */
function glColors(gl, texture, rgb) {
  const n = rgb.length / 3, rows = Math.max(1, Math.ceil(n / 1024)), pixels = new Uint8Array(4 * 1024 * rows).fill(255);
  for (let f = 0; f < n; f++) pixels.set(rgb.subarray(3 * f, 3 * f + 3), 4 * f);
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 1024, rows, 0, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
}

/** A function that paints once a frame at most, by `paint(quick)`, which tells when all is drawn: quickly where whole pictures take long, until all rests.  Its `whole` paints at once. */
function paced(paint) {
  let waiting = 0, slow = false, rest = 0;
  const whole = () => {
    cancelAnimationFrame(waiting); clearTimeout(rest);
    waiting = 0;
    const start = performance.now();
    Promise.resolve(paint(false)).then(() => { slow = performance.now() - start > 50; });
  };
  const redraw = () => {
    waiting ||= requestAnimationFrame(() => {
      waiting = 0;
      if (!slow) return whole();
      paint(true);
      clearTimeout(rest);
      rest = setTimeout(whole, 200);
    });
  };
  return Object.assign(redraw, { whole });
}
/** Acts when an element's size changes, not on its first. */
function onResize(element, act) {
  let first = true;
  new ResizeObserver(() => { if (first) first = false; else act(); }).observe(element);
}
/** Resolves when all is drawn: browsers draw while scripts go on. */
function glDone(gl) {
  const fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
  gl.flush();
  return new Promise((resolve) => {
    const ask = () => {
      if (!gl.isContextLost() && gl.getSyncParameter(fence, gl.SYNC_STATUS) !== gl.SIGNALED) return setTimeout(ask, 4);
      gl.deleteSync(fence);
      resolve();
    };
    setTimeout(ask, 0);
  });
}

function cannotBeShown(error) {
  hint(`this page cannot be shown: ${error.message}; it needs a browser of 2023 or later`);
  throw error;
}
