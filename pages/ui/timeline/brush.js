// The brush that erases snippets: spans in seconds, sorted, apart from each other. Pure: no DOM.

import { clamp } from "./axis.js";

/** Return the whole snippets that a stroke from second `a` to second `b` touches, at least one: `[start, end]`. */
export function snapped(a, b, { t0, step, duration }) {
  const low = Math.floor((a - t0) / step + 1e-6), high = Math.max(Math.ceil((b - t0) / step - 1e-6), low + 1);
  return [low, high].map((i) => clamp(t0 + i * step, 0, duration));
}

/**
 * Return what is erased after a stroke over `span`. One that starts on erased snippets brings back what it passes.
 *
 * @param {number[][]} spans
 * @param {number[]} span
 * @param {number} start second at which the stroke starts
 */
export function brushed(spans, span, start) {
  if (!spans.some(([a, b]) => a <= start && start < b)) return merged([...spans, span]);
  const outside = spans.flatMap(([a, b]) => [[a, Math.min(b, span[0])], [Math.max(a, span[1]), b]]);
  return outside.filter(([a, b]) => b - a > 1e-6);
}

/** Return spans sorted, those that meet joined. */
export function merged(spans) {
  const out = [];
  for (const [start, end] of [...spans].sort((a, b) => a[0] - b[0])) {
    const last = out.at(-1);
    if (last && start <= last[1] + 1e-6) last[1] = Math.max(last[1], end);
    else out.push([start, end]);
  }
  return out;
}
