// Rows of bars: ground truth and other intervals, detections with their verdicts, masks, boundaries.

import { number, tail } from "./text.js";

/**
 * @typedef {{ctx: CanvasRenderingContext2D, model: import("./model.js").Model, look: import("./look.js").Look}} Paint
 *   a canvas whose unit is the CSS pixel, what to draw, and in which colours
 * @typedef {import("./model.js").Row} Row
 */

/** Colour roles of a boundary's stream. */
export const STREAMS = { RGB: "instance", flow: "context" };

const ON_BRIGHT = "#0b1016", ON_GREEN = "#04120d", ON_STRONG = "#ffffff"; // text on a filled bar
const TEXT = "600 10.5px", SMALL = "9.5px";

/** Return the intervals that have a lane and of which something is in view. */
const seen = (items, [from, to]) => items.filter((i) => !(i.lane < 0) && i.end >= from && i.start <= to);

/** Draw a bar from pixel `x0` to `x1`, at least 2 pixels wide. */
function bar({ ctx, look }, x0, x1, y, h, { fill, stroke, dash, alpha = 1, pattern }) {
  const w = Math.max(x1 - x0, 2), inset = stroke ? 0.5 : 0;
  ctx.globalAlpha = alpha;
  ctx.beginPath();
  ctx.roundRect(x0 + inset, y + inset, w - 2 * inset, h - 2 * inset, Math.min(2.5, w / 3));
  if (fill) { ctx.fillStyle = fill; ctx.fill(); }
  if (pattern) { ctx.fillStyle = look.pattern(ctx, pattern); ctx.fill(); }
  if (stroke) {
    ctx.strokeStyle = stroke; ctx.lineWidth = 1.2; ctx.setLineDash(dash || []);
    ctx.stroke(); ctx.setLineDash([]);
  }
  ctx.globalAlpha = 1;
}

/** Write into the part of a bar that is in view; a long text is cut, or left out where little of it would stay. */
function inBar({ ctx, model, look }, text, x0, x1, y, h, colour) {
  const left = Math.max(x0, 0) + 4, room = Math.min(x1, model.axis.w) - left - 3;
  if (room < 16 || h < 11) return;
  look.font(ctx, TEXT); ctx.textBaseline = "middle";
  let shown = text;
  if (look.width(ctx, shown) > room) {
    while (shown.length > 1 && look.width(ctx, shown + "…") > room) shown = shown.slice(0, -1);
    if (shown.length < 3) return;
    shown += "…";
  }
  ctx.fillStyle = colour; ctx.fillText(shown, left, y + h / 2 + 0.5);
}

/** @param {Paint} paint @param {Row} row */
export function drawSegments(paint, row) {
  const { model, look } = paint, { axis, data } = model;
  for (const item of seen(row.track.items, axis.view)) {
    const x0 = axis.x(item.start), x1 = axis.x(item.end), { y, h } = model.barOf(row, item), { role } = item;
    const colour = look.colour(role), faint = row.track.key === "gt" && data.label && item.label !== data.label;
    let text = look.ink;
    if (role === "ambiguous") bar(paint, x0, x1, y, h, { stroke: colour, dash: [2, 2], pattern: role, alpha: 0.7 });
    else if (role === "fake") bar(paint, x0, x1, y, h, { stroke: colour, dash: [4, 2], fill: colour + "33" });
    else {
      bar(paint, x0, x1, y, h, { fill: colour, alpha: faint ? 0.4 : role === "gt" ? 1 : 0.75 });
      if (look.dark && !faint && (role === "gt" || role === "context")) text = ON_BRIGHT;
      else if (!look.dark && !faint && role === "gt") text = ON_GREEN;
    }
    inBar(paint, tail(item.label), x0, x1, y, h, text);
  }
}

/** @param {Paint} paint @param {Row} row */
export function drawDetections(paint, row) {
  const { model, look } = paint, { axis } = model, { track } = row;
  for (const item of seen(track.items, axis.view).reverse()) { // best last, on top
    const x0 = axis.x(item.start), x1 = axis.x(item.end), { y, h } = model.barOf(row, item);
    const right = item.verdict === "tp", role = item.verdict === "dropped" ? "ghost" : "fp";
    const alpha = 0.45 + 0.55 * item.rank;
    bar(paint, x0, x1, y, h, { fill: look.paper });
    if (right) bar(paint, x0, x1, y, h, { fill: look.colour("tp"), alpha });
    else bar(paint, x0, x1, y, h, { stroke: look.colour(role), dash: [3, 2], pattern: role, alpha });
    if (x1 - x0 <= 26) continue;
    const text = (track.labels > 1 ? item.label + " " : "") + item.score.toFixed(2).replace(/^-(0\.00)$/, "$1");
    if (!right) clear(paint, text, x0, x1, y, h);
    const onTrue = look.dark ? (alpha > 0.8 ? ON_BRIGHT : look.ink) : alpha > 0.7 ? ON_STRONG : ON_BRIGHT;
    inBar(paint, text, x0, x1, y, h, right ? onTrue : look.ink);
  }
  if (model.folded(track)) return;
  for (const miss of seen(track.misses, axis.view)) {
    bar(paint, axis.x(miss.start), axis.x(miss.end), row.y + row.h - 12, 8, { stroke: look.colour("fn") });
  }
}

/** Take hatching away where a text will be written. */
function clear({ ctx, model, look }, text, x0, x1, y, h) {
  look.font(ctx, TEXT);
  const left = Math.max(x0, 0) + 3, wide = Math.min(look.width(ctx, text) + 3, Math.min(x1, model.axis.w) - left - 3);
  if (wide <= 20) return;
  ctx.fillStyle = look.paper; ctx.globalAlpha = 0.8; ctx.fillRect(left, y + 1.5, wide, h - 3); ctx.globalAlpha = 1;
}

/** @param {Paint} paint @param {Row} row */
export function drawMask(paint, row) {
  const { axis } = paint.model, [from, to] = axis.view, fill = paint.look.colour(row.track.role);
  for (const [a, b] of row.track.spans) {
    if (b >= from && a <= to) bar(paint, axis.x(a), axis.x(b), row.y + 4, row.h - 9, { fill, alpha: 0.85 });
  }
}

/** Raw boundaries are dashed, regressed ones a bar. @param {Paint} paint @param {Row} row */
export function drawBoundaries(paint, row) {
  const { ctx, model, look } = paint, { axis } = model;
  for (const item of seen(row.track.items, axis.view)) {
    const { y, h } = model.barOf(row, item), x0 = axis.x(item.start), x1 = axis.x(item.end);
    bar(paint, x0, x1, y + h / 2 - 1, 5, { fill: look.colour(STREAMS[item.stream] || STREAMS.RGB) });
    ctx.strokeStyle = look.soft; ctx.lineWidth = 1; ctx.setLineDash([2, 2]);
    for (const raw of [item.raw_start, item.raw_end]) {
      const x = Math.round(axis.x(raw)) + 0.5;
      ctx.beginPath(); ctx.moveTo(x, y + 1); ctx.lineTo(x, y + h); ctx.stroke();
    }
    ctx.setLineDash([]);
    if (x1 - x0 <= 64 || model.folded(row.track)) continue;
    look.font(ctx, SMALL); ctx.fillStyle = look.ink; ctx.textBaseline = "alphabetic";
    ctx.fillText(`OIC ${number(item.oic)}  Lc ${number(item.coherence)}`, Math.max(x0, 0) + 3, y + 6);
  }
}
