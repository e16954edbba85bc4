// The strip of the whole video above the rows: ground truth and the first run's detections, the part in view, and the
// playhead.

import { clamp } from "./axis.js";
import { clockText } from "./text.js";

const STRIP = 7; // pixels

export class Overview {
  /**
   * @param {HTMLElement} box of the strip, around a canvas
   * @param {(part: number) => void} onSeek called with which part of the video, in [0, 1], lies before the pointer
   * @param {import("./component.js").On} on
   */
  constructor(box, onSeek, on) {
    this.box = box;
    this.canvas = box.querySelector("canvas");
    this.still = document.createElement("canvas"); // all but the playhead
    this.strips = null; // a canvas: all that does not depend on the part in view
    this.w = this.h = 0; // pixels
    let held = false;
    const seek = ({ clientX }) => {
      const { left, width } = box.getBoundingClientRect();
      onSeek(clamp((clientX - left) / width, 0, 1));
    };
    on(box, "pointerdown", (e) => { box.setPointerCapture(e.pointerId); held = true; seek(e); });
    on(box, "pointermove", (e) => { if (held) seek(e); });
    on(box, "pointerup pointercancel", () => { held = false; });
  }

  /** Take the size from the page; what was drawn is drawn anew. */
  resize(model, look) {
    this.w = this.box.clientWidth; this.h = this.box.clientHeight; this.strips = null;
    for (const canvas of [this.canvas, this.still]) {
      canvas.width = Math.round(this.w * look.dpr); canvas.height = Math.round(this.h * look.dpr);
    }
    this.box.setAttribute("aria-valuemax", model.end.toFixed(1));
  }

  /** Say where the playhead is, and on what. */
  say({ t, data }) {
    const truth = data.tracks.filter((track) => track.key === "gt").flatMap((track) => track.items);
    const names = new Set(truth.filter((i) => i.start <= t && t < i.end).map((i) => i.label));
    this.box.setAttribute("aria-valuenow", t.toFixed(1));
    this.box.setAttribute("aria-valuetext", [clockText(t), ...names].join(", "));
  }

  /** Draw all but the playhead. */
  draw({ axis, data }, look) {
    const { w, h } = this, ctx = this.still.getContext("2d"), x = (t) => (t / axis.end) * w;
    this.strips ||= this.drawStrips(data, look, x);
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    ctx.clearRect(0, 0, this.still.width, this.still.height);
    ctx.drawImage(this.strips, 0, 0);
    ctx.setTransform(look.dpr, 0, 0, look.dpr, 0, 0);
    const [a, b] = axis.view.map(x);
    if (b - a >= w - 1) return;
    ctx.fillStyle = look.paper; ctx.globalAlpha = 0.66;
    ctx.fillRect(0, 0, a, h); ctx.fillRect(b, 0, w - b, h); ctx.globalAlpha = 1;
    ctx.strokeStyle = look.soft; ctx.lineWidth = 1; ctx.strokeRect(a + 0.5, 0.5, b - a - 1, h - 1);
  }

  drawStrips({ tracks }, look, x) {
    const canvas = document.createElement("canvas");
    canvas.width = this.canvas.width; canvas.height = this.canvas.height;
    const ctx = canvas.getContext("2d");
    ctx.setTransform(look.dpr, 0, 0, look.dpr, 0, 0);
    const strip = (items, y, role) => {
      ctx.fillStyle = look.colour(role);
      for (const { start, end, rank } of items) {
        ctx.globalAlpha = rank === undefined ? 1 : 0.25 + 0.75 * rank;
        ctx.fillRect(x(start), y, Math.max(1.5, x(end) - x(start)), STRIP);
      }
      ctx.globalAlpha = 1;
    };
    const truth = tracks.find((t) => t.key === "gt"), lead = tracks.find((t) => t.kind === "detections");
    if (truth) strip(truth.items.filter((i) => i.role === "gt"), 4, "gt");
    if (lead) {
      strip(lead.items.filter((i) => i.verdict !== "tp" && (i.lane === 0 || i.lane === 1)), 14, "fp");
      strip(lead.items.filter((i) => i.verdict === "tp"), 14, "tp");
    }
    return canvas;
  }

  /** Draw it with the playhead. */
  drawPlayhead({ t, end }, look) {
    const ctx = this.canvas.getContext("2d");
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    ctx.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (this.strips) ctx.drawImage(this.still, 0, 0);
    ctx.setTransform(look.dpr, 0, 0, look.dpr, 0, 0);
    ctx.fillStyle = look.playhead; ctx.fillRect((t / end) * this.w - 0.75, 0, 1.5, this.h);
  }
}
