// Level of detail: extrema of a pixel column cost the same however many snippets lie in it. Pure: no DOM.
// Kept are extrema of 1, 2, 4, ... values from each place on; that of any range is the better of two that overlap.
// NaN counts as nothing.

import { remembered } from "./cache.js";

const higher = (a, b) => (b > a || a !== a ? b : a);
const lower = (a, b) => (b < a || a !== a ? b : a);

/** Return the power of two that fits into a length. */
export const powerOf = (length) => 31 - Math.clz32(length);

function pyramid(better) {
  const known = remembered((values) => [values]);
  return (values, longest) => {
    const levels = known(values);
    while (levels.length <= powerOf(longest)) {
      const last = levels[levels.length - 1], half = 1 << (levels.length - 1), next = last.slice();
      for (let i = 0, end = last.length - half; i < end; i++) next[i] = better(last[i], last[i + half]);
      levels.push(next);
    }
    return levels;
  };
}

/**
 * Return the highest, or lowest, of 1, 2, 4, ... values from each place on, for ranges of up to `longest` values:
 * `levels[p][i]` is that of `values[i] ... values[i + 2**p - 1]`.
 *
 * @type {(values: Float32Array | Uint8Array, longest: number) => (Float32Array | Uint8Array)[]}
 */
export const highest = pyramid(higher);
export const lowest = pyramid(lower);

let highs = new Float32Array(0), lows = new Float32Array(0);

/**
 * Return the highest and lowest value of each pixel column; NaN where there is none.
 *
 * @param {Float32Array} values of snippets, (T,)
 * @param {{t0: number, step: number}} grid seconds
 * @param {import("./axis.js").Axis} axis
 * @param {boolean} both whether the lowest are asked for
 * @returns {{count: number, highs: Float32Array, lows: Float32Array}} `count` columns from the left; the arrays are
 *   used again by the next call
 */
export function columns(values, { t0, step }, axis, both = true) {
  const n = values.length, width = Math.ceil(axis.w), longest = Math.ceil(axis.span / step / axis.w) + 1;
  const up = highest(values, longest), down = both ? lowest(values, longest) : null;
  if (highs.length < width) { highs = new Float32Array(width); lows = new Float32Array(width); }
  let next = Math.floor((axis.at(0) - t0) / step), count = 0;
  for (; count < axis.w; count++) {
    const from = Math.max(0, next);
    next = Math.floor((axis.at(count + 1) - t0) / step);
    if (from >= n) break;
    if (next < 0) { highs[count] = lows[count] = NaN; continue; }
    const end = Math.min(n, Math.max(from + 1, next)), power = powerOf(end - from), second = end - (1 << power);
    highs[count] = higher(up[power][from], up[power][second]);
    if (both) lows[count] = lower(down[power][from], down[power][second]);
  }
  return { count, highs, lows };
}
