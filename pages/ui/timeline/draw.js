// The still picture: ruler and rows. It is drawn when what is in view changes; what moves lies above it (overlay.js).

import { drawBoundaries, drawDetections, drawMask, drawSegments } from "./bars.js";
import { drawArea, drawHeat, drawLines } from "./curves.js";
import { RULER } from "./model.js";

/** How a row of each kind is drawn; an offer is a button in its label. */
const DRAW = {
  segments: drawSegments, detections: drawDetections, mask: drawMask, boundaries: drawBoundaries,
  lines: drawLines, area: drawArea, heat: drawHeat, offer: () => {},
};

/**
 * Draw ruler and rows.
 *
 * @param {CanvasRenderingContext2D} ctx
 * @param {import("./model.js").Model} model
 * @param {import("./look.js").Look} look
 */
export function draw(ctx, model, look) {
  const { axis, h } = model, { w } = axis, paint = { ctx, model, look }, ticks = axis.ticks();
  ctx.setTransform(look.dpr, 0, 0, look.dpr, 0, 0);
  ctx.clearRect(0, 0, w, h);
  ctx.save();
  clip(ctx, 0, RULER, w, h - RULER);
  ctx.translate(0, RULER - model.scrolled);
  ctx.strokeStyle = look.line; ctx.lineWidth = 1; ctx.globalAlpha = 0.6;
  ctx.beginPath();
  for (const [t] of ticks) upright(ctx, axis.x(t), 0, Math.max(model.total, h));
  ctx.stroke(); ctx.globalAlpha = 1;
  for (const row of model.inView()) {
    ctx.save();
    clip(ctx, 0, row.y, w, row.h);
    DRAW[row.track.kind](paint, row);
    ctx.restore();
    ctx.fillStyle = look.line; ctx.fillRect(0, row.y + row.h - 1, w, 1);
  }
  ctx.restore();
  drawRuler(paint, ticks);
}

function clip(ctx, x, y, w, h) { ctx.beginPath(); ctx.rect(x, y, w, h); ctx.clip(); }

/** Lay an upright line onto whole pixels. */
function upright(ctx, x, top, bottom) { const at = Math.round(x) + 0.5; ctx.moveTo(at, top); ctx.lineTo(at, bottom); }

function drawRuler({ ctx, model: { axis }, look }, ticks) {
  ctx.fillStyle = look.paper; ctx.fillRect(0, 0, axis.w, RULER);
  ctx.fillStyle = look.soft; ctx.strokeStyle = look.line;
  look.font(ctx, "11px"); ctx.textBaseline = "middle";
  for (const [t, text] of ticks) {
    const x = axis.x(t);
    ctx.beginPath(); upright(ctx, x, RULER - 5, RULER); ctx.stroke();
    if (x + 4 + look.width(ctx, text) < axis.w) ctx.fillText(text, x + 3, 11);
  }
  ctx.fillStyle = look.line; ctx.fillRect(0, RULER - 1, axis.w, 1);
}
