// The payload of __init__.py: read, checked, and made ready to be laid out. Pure: no DOM.

import { remembered } from "./cache.js";

/**
 * @typedef {{t0: number, step: number}} Grid second at which the first snippet starts; seconds per snippet
 * @typedef {{name: string, values: Float32Array, role: string, dash: number[], ghost: boolean, grid: ?Grid}} Series
 *   one curve: values (T,); `role` names a colour, `dash` is in pixels, `ghost` is what was before
 *
 * @typedef {Object} Item an interval of "segments", "detections" or "boundaries"
 * @property {string} label
 * @property {number} start seconds
 * @property {number} end seconds
 * @property {number} lane from 0; -1 where none was free
 * @property {string} [role] "segments": colour
 * @property {string} [id] "detections", from here on
 * @property {"tp" | "fp" | "dropped"} [verdict]
 * @property {number} [score]
 * @property {number} [rank] of its score, in [0, 1]
 * @property {?number} [threshold] value above which its snippets lie, on the scale of the tracks that name `source`
 * @property {?{start: number, end: number, label: string, tiou: number}} [near] nearest ground truth
 * @property {{start: number, end: number, score: number, source: string}[]} [rivals] what it suppressed
 *
 * @typedef {Object} Track as `wtal_core.figures.rows.Row`, with arrays in place of their numbers
 * @property {string} key
 * @property {"segments" | "detections" | "lines" | "area" | "heat" | "mask" | "boundaries" | "offer"} kind
 * @property {Series[]} [series] of "lines" and "area"
 * @property {Uint8Array} [cells] of "heat": (C, T), row by row
 * @property {Item[]} items
 * @property {number} lanes how many lanes the items take
 *
 * @typedef {Object} Payload the header, see `pack` in __init__.py and `build` in pages/ui/explore/rows.py
 * @property {string} rev changes with whatever is shown
 * @property {string} subject data set and video
 * @property {{t: ?number, from: ?number, to: ?number}} start seconds
 * @property {Track[]} tracks from top to bottom
 * @property {number} duration seconds
 * @property {number} step seconds per snippet of the grid that is erased on; its first snippet starts at `t0`
 * @property {?number[][]} erased spans in seconds
 */

export const MAX_LANES = { segments: 4, boundaries: 6, detections: 5 };
const KINDS = ["segments", "detections", "lines", "area", "heat", "mask", "boundaries", "offer"];

// What a detection says where nothing is known of it.
const UNEXPLAINED = {
  threshold: null, inner: null, outer: null, near: null, lowered_by: null, rivals: [], num_rivals: 0, soft: false,
};

// Views of a body by "type offset size": the same array of two payloads is one object.
const viewsOf = remembered(() => new Map());

/**
 * Read a payload.
 *
 * @param {Uint8Array} bytes JSON
 * @param {?Map<string, ArrayBuffer>} bodies arrays of payloads by their id
 * @returns {?Payload} null where its arrays are still on their way
 * @throws {Error} it is not one, or its tracks and arrays do not fit; says which
 */
export function decode(bytes, bodies) {
  const header = parse(bytes), body = bodies?.get(header.body);
  if (!body) return null;
  const arrays = header.arrays.map((entry, i) => arrayOf(body, entry, i));
  for (const track of header.tracks) prepare(track, arrays);
  return header;
}

function parse(bytes) {
  if (!(bytes instanceof Uint8Array)) throw new Error("the timeline got no bytes");
  let header;
  try { header = JSON.parse(new TextDecoder().decode(bytes)); } catch { throw new Error("its header is no JSON"); }
  if (typeof header?.body !== "string" || !Array.isArray(header.arrays) || !Array.isArray(header.tracks)) {
    throw new Error("its header names no arrays and tracks");
  }
  return header;
}

function arrayOf(body, entry, i) {
  const [type, offset, size] = Array.isArray(entry) ? entry : [];
  const width = { f4: 4, u1: 1 }[type], whole = [offset, size].every((n) => Number.isInteger(n) && n >= 0);
  if (!width || !whole || offset % width) throw new Error(`array ${i} is not described by type, offset and size`);
  if (offset + size * width > body.byteLength) {
    throw new Error(`array ${i} ends at byte ${offset + size * width} of ${body.byteLength}`);
  }
  const views = viewsOf(body), key = entry.join(" ");
  if (!views.has(key)) views.set(key, new (type === "f4" ? Float32Array : Uint8Array)(body, offset, size));
  return views.get(key);
}

/** Put arrays and lanes into a track. */
function prepare(track, arrays) {
  const wrong = (what) => { throw new Error(`track ${track.key} ${what}`); };
  const array = (i, type) => (arrays[i] instanceof type ? arrays[i] : wrong(`has no ${type.name} as array ${i}`));
  if (!KINDS.includes(track.kind)) wrong(`is of an unknown kind: ${track.kind}`);
  if (["lines", "area"].includes(track.kind) && !track.series?.length) wrong("has no curves");
  for (const s of track.series || []) {
    s.values = array(s.values, Float32Array);
    if (!(s.grid || track.grid)) wrong("has no grid");
    const other = s.values.length !== track.series[0].values.length;
    if (track.kind === "area" && other) wrong("has curves of several lengths");
  }
  if (track.kind === "heat") {
    track.cells = array(track.cells, Uint8Array);
    if (!track.grid) wrong("has no grid");
    if (!track.names.length || track.cells.length % track.names.length) {
      wrong(`has ${track.cells.length} cells for ${track.names.length} rows`);
    }
  }
  if (track.kind in MAX_LANES) track.lanes = assignLanes(track.items, MAX_LANES[track.kind]); // detections: best first
  if (track.kind === "detections") {
    for (const item of track.items) for (const [k, v] of Object.entries(UNEXPLAINED)) item[k] ??= v;
  }
}

/**
 * Give each item the first lane that is free for as long as it lasts, -1 where none is.
 *
 * @param {Item[]} items those that come first choose first
 * @param {number} most lanes
 * @returns {number} how many lanes are taken, at least 1
 */
export function assignLanes(items, most = Infinity) {
  const lanes = [];
  for (const item of items) {
    const free = (spans) => spans.every(([a, b]) => item.end <= a + 1e-6 || item.start >= b - 1e-6);
    item.lane = lanes.findIndex(free);
    if (item.lane < 0 && lanes.length < most) item.lane = lanes.push([]) - 1;
    if (item.lane >= 0) lanes[item.lane].push([item.start, item.end]);
  }
  return Math.max(1, lanes.length);
}
