// What the pointer does on the rows: seek, choose, pan, zoom, brush.

import { clamp } from "./axis.js";
import { brushed, snapped } from "./brush.js";
import { RULER } from "./model.js";

export class Pointer {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {import("./component.js").Timeline} timeline
   * @param {import("./component.js").On} on
   */
  constructor(canvas, timeline, on) {
    this.canvas = canvas; this.timeline = timeline; this.model = timeline.model;
    on(canvas, "pointerdown", (e) => this.down(e));
    on(canvas, "pointermove", (e) => this.move(e));
    on(canvas, "pointerup pointercancel", (e) => this.up(e));
    on(canvas, "pointerleave", () => { this.model.hover = null; timeline.wake(); });
    on(canvas, "wheel", (e) => this.wheel(e), { passive: false });
    on(canvas, "dblclick", (e) => this.double(e));
  }

  /** Return a pointer's pixel on the canvas; the component is magnified on very large screens. */
  place(e) {
    this.model.scrolled = this.timeline.scroll.scrollTop; // its event comes later
    const box = this.canvas.getBoundingClientRect(), { w } = this.model.axis, scale = w / (box.width || w);
    return { x: clamp((e.clientX - box.left) * scale, 0, w), y: (e.clientY - box.top) * scale };
  }

  down(e) {
    const { model, timeline } = this, { axis } = model;
    timeline.focus();
    const { x, y } = this.place(e), t = axis.at(x), ruler = y < RULER;
    this.canvas.setPointerCapture(e.pointerId);
    const pans = ruler || e.shiftKey || e.button === 1;
    const mode = model.erasing && !ruler ? "erase" : e.altKey ? "range" : pans ? "pan" : "seek";
    model.grab = { mode, x, t, to: null, view: [...axis.view], moved: false };
    if (mode === "seek") {
      if (model.playing) timeline.pause();
      timeline.choose(model.hit(x, y)?.item.id ?? null);
      timeline.seek(t, { follow: false });
    }
    timeline.wake();
  }

  move(e) {
    const { model, timeline } = this, { axis, grab } = model;
    model.hover = this.place(e);
    const { x } = model.hover;
    if (grab) {
      if (Math.abs(x - grab.x) > 2) grab.moved = true;
      if (grab.mode === "seek" && grab.moved) timeline.seek(axis.at(x), { follow: false });
      if (grab.mode === "pan" && grab.moved) {
        const [a, b] = grab.view, by = ((x - grab.x) / axis.w) * (b - a);
        timeline.setView(a - by, b - by);
      }
      grab.to = axis.at(x);
    }
    timeline.wake();
  }

  up() {
    const { model, timeline } = this, { grab } = model;
    model.grab = null;
    timeline.wake();
    if (!grab) return;
    const to = grab.to ?? grab.t, [a, b] = [Math.min(grab.t, to), Math.max(grab.t, to)];
    if (grab.mode === "range" && b - a > model.axis.shortest / 4) timeline.setView(a, b);
    if (grab.mode === "pan" && !grab.moved) timeline.seek(grab.t, { follow: false });
    if (grab.mode === "erase") timeline.erase(brushed(model.erased, snapped(a, b, model.data), grab.t));
  }

  wheel(e) {
    e.preventDefault();
    const { model, timeline } = this, { axis } = model, { x } = this.place(e), unit = e.deltaMode === 1 ? 16 : 1;
    if (e.shiftKey || Math.abs(e.deltaX) > Math.abs(e.deltaY)) {
      timeline.pan((((e.deltaX || e.deltaY) * unit) / axis.w) * axis.span);
    } else timeline.zoom(Math.exp(clamp(e.deltaY * unit, -240, 240) * 0.0022), axis.at(x));
    model.hover = this.place(e);
  }

  /** Pick the class under the pointer on a heat map. */
  double(e) {
    const { model, timeline } = this, { y } = this.place(e), row = model.rowAt(y);
    if (row?.track.kind !== "heat") return;
    const name = row.track.names[model.heatRow(row, y)];
    if (name && model.data.classes.includes(name)) timeline.tell("label", { name });
  }
}
