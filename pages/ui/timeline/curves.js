// Rows of values: curves, stacked areas, heat maps.

import { clamp } from "./axis.js";
import { remembered } from "./cache.js";
import { columns, highest, powerOf } from "./levels.js";

/** @typedef {import("./bars.js").Paint} Paint
 *  @typedef {import("./model.js").Row} Row */

/**
 * Lay a path along values: straight lines between the middles of snippets, or the extrema of each pixel column where
 * snippets are denser than pixels.
 *
 * @param {boolean} both whether it goes down to each column's lowest value, too
 * @returns {{left: number, right: number, per: number}} pixels of the first and last middle; snippets per pixel
 */
function trace({ ctx, model: { axis } }, values, grid, y, both = true) {
  const n = values.length, per = axis.span / grid.step / axis.w;
  const middle = (i) => axis.x(grid.t0 + (i + 0.5) * grid.step);
  const [from, to] = axis.view.map((t) => (t - grid.t0) / grid.step);
  const first = clamp(Math.floor(from) - 1, 0, n - 1), last = clamp(Math.ceil(to) + 1, 0, n);
  ctx.beginPath();
  if (per <= 1.5) {
    ctx.moveTo(middle(first), y(values[first]));
    for (let i = first + 1; i < last; i++) ctx.lineTo(middle(i), y(values[i]));
  } else {
    const { count, highs, lows } = columns(values, grid, axis, both), foot = both ? lows : highs;
    let started = false;
    for (let x = 0; x < count; x++) {
      const high = highs[x], low = foot[x];
      if (high !== high) continue;
      if (started) ctx.lineTo(x + 0.5, y(low));
      else ctx.moveTo(x + 0.5, y(low));
      if (high > low) ctx.lineTo(x + 0.5, y(high));
      started = true;
    }
  }
  return { left: middle(first), right: middle(last - 1), per };
}

/** @param {Paint} paint @param {Row} row */
export function drawLines(paint, row) {
  const { ctx, model, look } = paint, { track } = row, { w } = model.axis, { top, h, y } = model.scaled(row);
  const level = (at) => { ctx.moveTo(0, at); ctx.lineTo(w, at); };
  if (!model.folded(track)) {
    ctx.strokeStyle = look.line; ctx.lineWidth = 1; ctx.beginPath();
    for (const v of [track.low, track.high]) level(Math.round(y(v)) + 0.5);
    ctx.stroke();
  }
  for (const limit of track.limits) {
    ctx.strokeStyle = look.colour(limit.role); ctx.lineWidth = 1; ctx.setLineDash([2, 3]); ctx.beginPath();
    level(y(limit.value)); ctx.stroke(); ctx.setLineDash([]);
  }
  for (const s of [...track.series].reverse()) { // the first on top
    const { per } = trace(paint, s.values, s.grid || track.grid, y);
    ctx.strokeStyle = look.colour(s.role); ctx.lineWidth = s.ghost ? 1 : 1.5; ctx.lineJoin = "round";
    ctx.setLineDash(per < 3 ? s.dash : []); ctx.globalAlpha = s.ghost ? 0.8 : 1;
    ctx.stroke(); ctx.setLineDash([]); ctx.globalAlpha = 1;
  }
  if (!model.folded(track)) writeRange(paint, track, top, h);
}

/** Write the ends of a track's range at the right. */
function writeRange({ ctx, model, look }, track, top, h) {
  const { w } = model.axis;
  look.font(ctx, "9.5px"); ctx.textBaseline = "alphabetic"; ctx.textAlign = "right";
  for (const [v, at] of [[track.high, top + 8], [track.low, top + h - 1]]) {
    const text = +v.toPrecision(3) + "", wide = look.width(ctx, text);
    ctx.fillStyle = look.paper; ctx.globalAlpha = 0.75;
    ctx.fillRect(w - wide - 5, at - 8, wide + 4, 9.5); ctx.globalAlpha = 1;
    ctx.fillStyle = look.soft; ctx.fillText(text, w - 3, at);
  }
  ctx.textAlign = "left";
}

/** Sums of a track's curves from the first on. */
const stacksOf = remembered((track) => {
  const sum = new Float32Array(track.series[0].values.length);
  return track.series.map(({ values }) => {
    for (let i = 0; i < sum.length; i++) sum[i] += values[i];
    return sum.slice();
  });
});

/** Parts of a whole, on each other. @param {Paint} paint @param {Row} row */
export function drawArea(paint, row) {
  const { ctx, model, look } = paint, { track } = row, { w } = model.axis, { top, h } = model.scaled(row);
  const y = (v) => top + h - clamp(v / (track.high || 1), 0, 1) * h;
  for (const [k, stack] of [...stacksOf(track).entries()].reverse()) { // each one covers those below it
    const { left, right } = trace(paint, stack, track.grid, y, false);
    ctx.lineTo(Math.min(right, w + 40), top + h); ctx.lineTo(Math.max(left, -40), top + h); ctx.closePath();
    ctx.fillStyle = look.paper; ctx.fill();
    ctx.globalAlpha = 0.72; ctx.fillStyle = look.colour(track.series[k].role); ctx.fill();
    ctx.globalAlpha = 1;
  }
}

const sheets = new Map();

/** Return what a heat map is put together in before it is stretched over its row: one for each size. */
function sheetOf(width, rows) {
  const key = `${width} ${rows}`;
  if (!sheets.has(key)) {
    if (sheets.size > 8) sheets.clear();
    const canvas = document.createElement("canvas"), image = new ImageData(width, rows);
    canvas.width = width; canvas.height = rows;
    sheets.set(key, { canvas, image, out: new Uint32Array(image.data.buffer) });
  }
  return sheets.get(key);
}

/**
 * The highest value of each pixel column, row by row; folded, the selected class alone.
 *
 * @param {Paint} paint
 * @param {Row} row
 */
export function drawHeat(paint, row) {
  const { ctx, model, look } = paint, { track } = row, { axis } = model, folded = model.folded(track);
  const rows = folded ? 1 : track.names.length, width = Math.max(1, Math.round(axis.w * Math.min(look.dpr, 1.5)));
  const { canvas, image, out } = sheetOf(width, rows);
  fillHeat(out, width, track, folded ? Math.max(track.row, 0) : 0, axis, look.heat);
  canvas.getContext("2d").putImageData(image, 0, 0);
  const top = row.y + 2, h = row.h - 4;
  ctx.imageSmoothingEnabled = false; ctx.drawImage(canvas, 0, 0, width, rows, 0, top, axis.w, h);
  if (folded || track.row < 0) return;
  const { grid, cells, names } = track, one = h / rows, y = top + track.row * one;
  const left = Math.max(-2, axis.x(grid.t0));
  const right = Math.min(axis.w + 2, axis.x(grid.t0 + (cells.length / names.length) * grid.step));
  ctx.fillStyle = look.colour("gt"); ctx.fillRect(0, y, 3, one);
  ctx.strokeStyle = look.colour("gt"); ctx.lineWidth = 0.75; ctx.globalAlpha = 0.7;
  ctx.strokeRect(left, y, right - left, one); ctx.globalAlpha = 1;
}

/** Fill an image `width` pixels wide with a heat map's rows from `first` on; transparent outside its grid. */
function fillHeat(out, width, { cells, names, grid }, first, axis, colours) {
  const n = cells.length / names.length, start = axis.view[0] - grid.t0, { span } = axis, size = out.length;
  const highs = highest(cells, Math.ceil(span / width / grid.step) + 1);
  for (let x = 0; x < width; x++) {
    const from = Math.floor((start + (x / width) * span) / grid.step + 1e-6);
    const to = Math.floor((start + ((x + 1) / width) * span) / grid.step + 1e-6);
    const i = Math.max(from, 0), end = Math.min(Math.max(from + 1, to), n);
    if (i >= end) { for (let pixel = x; pixel < size; pixel += width) out[pixel] = 0; continue; }
    const power = powerOf(end - i), high = highs[power], j = end - (1 << power);
    for (let pixel = x, at = first * n; pixel < size; pixel += width, at += n) {
      const u = high[at + i], v = high[at + j];
      out[pixel] = colours[u > v ? u : v];
    }
  }
}
