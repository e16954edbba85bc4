// What moves above the still picture: playhead, pointer, brush strokes, the chosen detection.

import { clamp } from "./axis.js";
import { RULER } from "./model.js";
import { clockText } from "./text.js";

/** @typedef {import("./bars.js").Paint} Paint */

const RIVALS = 8; // of the chosen detection, best first, that are drawn below it

/**
 * Draw what moves.
 *
 * @param {CanvasRenderingContext2D} ctx
 * @param {import("./model.js").Model} model
 * @param {import("./look.js").Look} look
 */
export function drawOverlay(ctx, model, look) {
  const paint = { ctx, model, look }, { axis, h, hover, grab } = model;
  ctx.setTransform(look.dpr, 0, 0, look.dpr, 0, 0);
  ctx.clearRect(0, 0, axis.w, h);
  for (const span of model.erased) {
    band(paint, span, look.pattern(ctx, "ghost"));
    band(paint, span, look.paper + "88");
  }
  if (grab !== null && grab.to !== null) {
    const span = [Math.min(grab.t, grab.to), Math.max(grab.t, grab.to)];
    if (grab.mode === "erase") band(paint, span, look.colour("fp") + "44");
    if (grab.mode === "range") band(paint, span, look.colour("tp") + "33", 0);
  }
  const chosen = model.found();
  if (chosen) drawChosen(paint, chosen);
  if (hover && !grab) {
    ctx.fillStyle = look.soft; ctx.globalAlpha = 0.6;
    ctx.fillRect(Math.round(hover.x), RULER, 1, h - RULER); ctx.globalAlpha = 1;
  }
  drawPlayhead(paint);
  if (model.pointed) writeTime(paint);
}

/** Fill a span of seconds from `top` down. */
function band({ ctx, model: { axis, h } }, [a, b], style, top = RULER) {
  const x0 = clamp(axis.x(a), -2, axis.w), x1 = clamp(axis.x(b), 0, axis.w + 2);
  if (x1 > x0) { ctx.fillStyle = style; ctx.fillRect(x0, top, x1 - x0, h - top); }
}

function drawPlayhead({ ctx, model: { axis, t, h }, look }) {
  const x = axis.x(t);
  if (x < -6 || x > axis.w + 6) return;
  ctx.fillStyle = look.playhead; ctx.fillRect(Math.round(x) - 0.75, RULER - 8, 1.5, h);
  ctx.beginPath();
  ctx.moveTo(x - 5, RULER - 9); ctx.lineTo(x + 5, RULER - 9); ctx.lineTo(x, RULER - 2);
  ctx.closePath(); ctx.fill();
}

/** Write the second at the pointer onto the ruler. */
function writeTime({ ctx, model, look }) {
  const text = clockText(model.reading, 2);
  look.font(ctx, "600 11px");
  const wide = look.width(ctx, text) + 10, left = clamp(model.hover.x - wide / 2, 0, model.axis.w - wide);
  ctx.fillStyle = look.ink; ctx.beginPath(); ctx.roundRect(left, 3, wide, 17, 4); ctx.fill();
  ctx.fillStyle = look.paper; ctx.textBaseline = "middle"; ctx.fillText(text, left + 5, 12);
}

/** Inner and outer area of a detection, its bar, what it suppressed, and the threshold it comes from. */
function drawChosen(paint, { item, track }) {
  const { ctx, model, look } = paint, { axis, h } = model, shift = RULER - model.scrolled;
  if (item.outer_start < item.start) band(paint, [item.outer_start, item.start], look.colour("context") + "22");
  if (item.outer_end > item.end) band(paint, [item.end, item.outer_end], look.colour("context") + "22");
  band(paint, [item.start, item.end], look.colour("tp") + "1c");
  ctx.save();
  ctx.beginPath(); ctx.rect(0, RULER, axis.w, h - RULER); ctx.clip();
  ctx.translate(0, shift);
  const row = model.visible.find((r) => r.track.key === track.key);
  if (row) outline(paint, row, item);
  for (const other of item.threshold === null ? [] : model.visible) {
    const { run, sources } = other.track;
    if (run !== track.run || !sources.includes(item.source) || model.folded(other.track)) continue;
    const y = model.scaled(other).y(item.threshold);
    ctx.strokeStyle = look.colour("fp"); ctx.lineWidth = 1.2; ctx.setLineDash([5, 3]);
    ctx.beginPath(); ctx.moveTo(0, y); ctx.lineTo(axis.w, y); ctx.stroke(); ctx.setLineDash([]);
  }
  ctx.restore();
}

function outline({ ctx, model, look }, row, item) {
  const { axis } = model, { y, h } = model.barOf(row, item), x = axis.x(item.start);
  ctx.strokeStyle = look.ink; ctx.lineWidth = 2;
  ctx.beginPath(); ctx.roundRect(x - 1.5, y - 1.5, Math.max(2, axis.x(item.end) - x) + 3, h + 3, 4); ctx.stroke();
  ctx.fillStyle = look.soft; ctx.globalAlpha = 0.75;
  item.rivals.slice(0, RIVALS).forEach((rival, k) => {
    ctx.fillRect(axis.x(rival.start), y + h + 3 + k * 3, axis.x(rival.end) - axis.x(rival.start), 2);
  });
  ctx.globalAlpha = 1;
}
