// The time axis: which seconds are in view, and where they lie on the canvas. Pure: no DOM.

import { clockText } from "./text.js";

const STEPS = [0.04, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200]; // seconds
const TICK_PIXELS = 76; // least distance of two ticks

export const clamp = (x, low, high) => Math.min(Math.max(x, low), high);

/** Seconds of a video on `w` pixels. `0 <= view[0] < view[1] <= end`. */
export class Axis {
  constructor() {
    this.end = 1; // seconds, of the whole video
    this.shortest = 0.4; // seconds that are in view at least
    this.view = [0, 1]; // seconds
    this.w = 0; // pixels
  }

  get span() { return this.view[1] - this.view[0]; }

  /** Whether the whole video is in view. */
  get whole() { return this.view[0] <= 1e-3 && this.view[1] >= this.end - 1e-3; }

  /** Return the pixel of a second, and the second of a pixel. */
  x(t) { return ((t - this.view[0]) / (this.view[1] - this.view[0])) * this.w; }
  at(x) { return this.view[0] + (x / this.w) * (this.view[1] - this.view[0]); }

  /** Bring `[a, b]` into view; what is too short or too long is made fit around its middle. */
  show(a, b) {
    const span = clamp(b - a, this.shortest, this.end), start = b - a === span ? a : (a + b) / 2 - span / 2;
    const from = clamp(start, 0, this.end - span);
    this.view = [from, from + span];
  }

  /** Bring into view what a link asks for; the whole video where it asks for nothing, or for less than can be seen. */
  open(from, to) {
    this.view = [0, this.end];
    if (from === null || to === null || to <= from) return;
    const [a, b] = [clamp(from, 0, this.end), clamp(to, 0, this.end)];
    if (b - a >= this.shortest) this.view = [a, b];
  }

  /** Return the part with `factor` times as many seconds in which second `around` keeps its pixel. */
  zoomed(factor, around) {
    const [a, b] = this.view, span = clamp((b - a) * factor, this.shortest, this.end), f = (around - a) / (b - a);
    return [around - f * span, around + (1 - f) * span];
  }

  /** Return ticks `[second, text]` of the part in view. */
  ticks() {
    const [from, to] = this.view, least = (this.span / this.w) * TICK_PIXELS;
    const step = STEPS.find((s) => s >= least) || STEPS.at(-1), digits = step < 0.1 ? 2 : step < 1 ? 1 : 0;
    const out = [];
    for (let i = Math.ceil(from / step - 1e-9); i * step <= to + 1e-9; i++) {
      out.push([i * step, clockText(i * step, digits)]);
    }
    return out;
  }
}
