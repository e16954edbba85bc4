// What is shown and where: tracks as rows on the time axis, and what lies under a pixel. Pure: no DOM.

import { Axis, clamp } from "./axis.js";
import { foundBy, momentsOf, sameAs } from "./moments.js";

/** Height of the ruler, in pixels. */
export const RULER = 24;
const LANE = 15, GAP = 2, FOLDED = 20; // pixels: of a bar and the gap below it, of a folded row
const TITLE = 19, LINE = 13; // pixels, of a label

/**
 * @typedef {import("./payload.js").Track} Track
 * @typedef {import("./payload.js").Item} Item
 * @typedef {{track: Track, y: number, h: number}} Row pixels below the first row's top
 * @typedef {{order: string[], hidden: Object<string, boolean>, folded: Object<string, boolean>}} Prefs
 *   by keys of tracks
 *
 * @typedef {Object} Grab what a pressed pointer does
 * @property {"seek" | "pan" | "range" | "erase"} mode
 * @property {number} x pixel at which it was pressed
 * @property {number} t second at which it was pressed
 * @property {?number} to second at which it is; null before it moves
 * @property {number[]} view seconds that were in view
 * @property {boolean} moved
 */

export class Model {
  /** @param {Prefs} prefs what a person chose; changed in place */
  constructor(prefs) {
    this.prefs = prefs;
    this.axis = new Axis();
    /** @type {?import("./payload.js").Payload} */
    this.data = null;
    this.t = 0; // playhead, seconds
    this.direction = 0; // of playback: 1, -1, or 0 while it stands
    this.rate = 1; // of playback
    this.h = 0; // pixels of the canvas, ruler included
    this.scrolled = 0; // pixels of rows above the ruler's lower edge
    /** @type {Row[]} */
    this.visible = [];
    this.total = 0; // pixels of all rows
    /** @type {?{x: number, y: number}} */
    this.hover = null; // pixels on the canvas
    /** @type {?Grab} */
    this.grab = null;
    /** @type {?string} */
    this.chosen = null; // id of a detection
    this.erasing = false;
    this.erased = []; // spans, seconds
    this.moments = momentsOf([]);
  }

  get end() { return this.axis.end; }
  get playing() { return this.direction !== 0; }

  /** Second at the pointer, or at the playhead where there is no pointer or the video plays. */
  get reading() { return this.pointed ? this.axis.at(this.hover.x) : this.t; }
  get pointed() { return this.hover !== null && !this.playing; }

  /** Return whether a track is folded, or hidden. */
  folded(track) { return !!this.prefs.folded[track.key]; }
  hidden(track) { return !!this.prefs.hidden[track.key]; }

  /**
   * Take in a payload. Another subject starts where its link says; the same one keeps its view and what was chosen.
   *
   * @param {import("./payload.js").Payload} data
   * @returns {boolean} whether the subject is another one
   */
  load(data) {
    const moved = this.data?.subject !== data.subject, chosen = moved ? null : this.found();
    this.data = data;
    this.axis.end = data.duration;
    this.axis.shortest = Math.max(0.4, 2 / (data.fps || 25));
    if (moved) {
      this.erased = [];
      this.axis.open(data.start.from, data.start.to);
    }
    this.erased = data.erased ?? this.erased;
    this.adopt();
    this.moments = momentsOf(data.tracks);
    this.chosen = chosen && sameAs(chosen, data.tracks);
    return moved;
  }

  /** Hide and fold what starts so and nobody has chosen otherwise. */
  adopt() {
    for (const { key, hidden, folded } of this.data.tracks) {
      if (hidden) this.prefs.hidden[key] ??= true;
      if (folded) this.prefs.folded[key] ??= true;
    }
  }

  /** Forget what a person chose. */
  reset() {
    Object.assign(this.prefs, { order: [], hidden: {}, folded: {} });
    this.adopt();
  }

  /** Return `{track, item}` of the chosen detection, or null. */
  found(id = this.chosen) { return this.data ? foundBy(id, this.data.tracks) : null; }

  // -- time -----------------------------------------------------------------------------------------------------------

  /** Return the nearest second at which there is a frame. */
  inside(t) { return clamp(t, 0, Math.max(0, this.end - 1e-3)); }

  /** Return the middle of the frame that is `by` frames from the playhead, in seconds. */
  frameBy(by) {
    const fps = this.data.fps || 25;
    return (Math.floor(this.t * fps + 1e-3) + by + 0.5) / fps;
  }

  /** Return what is reported: playhead and view, in seconds. */
  moment() {
    const { whole, view } = this.axis, at = (t) => +t.toFixed(2);
    const [from, to] = whole ? [null, null] : view.map(at);
    return { t: at(this.t), from, to, subject: this.data.subject };
  }

  // -- rows -----------------------------------------------------------------------------------------------------------

  /** Return all tracks in the order a person gave them; new ones last. */
  order() {
    const rank = new Map(this.prefs.order.map((key, i) => [key, i])), { tracks } = this.data;
    const place = new Map(tracks.map((t, i) => [t, rank.get(t.key) ?? 1e3 + i]));
    return [...tracks].sort((a, b) => place.get(a) - place.get(b));
  }

  /** Move a track before another one. */
  reorder(key, before) {
    const keys = this.order().map((t) => t.key).filter((k) => k !== key);
    keys.splice(keys.indexOf(before), 0, key);
    this.prefs.order = keys;
  }

  /** Move a track up (-1) or down (1). */
  shift(key, by) {
    const keys = this.order().map((t) => t.key), at = keys.indexOf(key);
    keys.splice(clamp(at + by, 0, keys.length - 1), 0, ...keys.splice(at, 1));
    this.prefs.order = keys;
  }

  /** Lay out the rows that are shown: `visible` and `total`. */
  arrange() {
    this.total = 0;
    this.visible = this.order().filter((track) => !this.hidden(track)).map((track) => {
      const y = this.total, h = this.heightOf(track);
      this.total += h;
      return { track, y, h };
    });
  }

  /** Return the height of a track's row, in pixels. */
  heightOf(track) {
    if (this.folded(track)) return FOLDED;
    const lanes = 6 + (track.lanes || 0) * (LANE + GAP), rows = track.names?.length || 1;
    switch (track.kind) {
      case "boundaries": return Math.max(80, lanes);
      case "segments": return Math.max(22, lanes);
      case "detections": return Math.max(track.note ? 36 : 24, lanes + (track.misses.length ? 11 : 0));
      case "heat": return Math.max(36, 4 + rows * clamp(Math.round(96 / rows), 4, 10));
      case "mask": case "offer": return 24;
      default: return Math.max(50, TITLE + LINE * track.series.length + 4);
    }
  }

  /** Return the rows of which something is in view. */
  inView() {
    return this.visible.filter((row) => row.y + row.h >= this.scrolled && row.y <= this.scrolled + this.h);
  }

  // -- places: `y` is a pixel of the canvas, what is returned counts from the first row's top -------------------------

  below(y) { return y - RULER + this.scrolled; }

  /** Return the row under a pixel of the canvas; null on the ruler and below the last one. */
  rowAt(y) {
    const inner = this.below(y);
    return y < RULER ? null : this.visible.find((r) => inner >= r.y && inner < r.y + r.h) || null;
  }

  /** Return which row of a heat map is under a pixel of the canvas. */
  heatRow(row, y) {
    if (this.folded(row.track)) return row.track.row;
    const count = row.track.names.length, part = (this.below(y) - row.y - 2) / (row.h - 4);
    return clamp(Math.floor(part * count), 0, count - 1);
  }

  /** Return `{y, h}` of an interval's bar. */
  barOf(row, item) {
    const top = row.y + 3;
    return this.folded(row.track) ? { y: top, h: FOLDED - 7 } : { y: top + item.lane * (LANE + GAP), h: LANE };
  }

  /** Return `{row, item}` of the detection under a pixel of the canvas, or null; bars are at least 3 pixels wide. */
  hit(x, y) {
    const row = this.rowAt(y), inner = this.below(y), { axis } = this;
    if (row?.track.kind !== "detections") return null;
    const item = row.track.items.find((i) => {
      if (i.lane < 0) return false;
      const bar = this.barOf(row, i), left = axis.x(i.start), right = Math.max(axis.x(i.end), left + 3);
      return inner >= bar.y - 1 && inner <= bar.y + bar.h + 1 && x >= left - 2 && x <= right + 2;
    });
    return item ? { row, item } : null;
  }

  /** Return where a row's values lie: top, height, and `y(value)`; values outside the track's range lie on its edge. */
  scaled({ track, y, h }) {
    const { low, high } = track, folded = this.folded(track), span = high - low || 1;
    const top = y + (folded ? 3 : 5), height = h - (folded ? 7 : 10);
    return { top, h: height, y: (v) => top + height - ((clamp(v, low, high) - low) / span) * height };
  }
}

/** Return which snippet a second lies in. */
export const snippetAt = (grid, t) => Math.floor((t - grid.t0) / grid.step + 1e-6);

/** Return a curve's value at a second, NaN where it has none. */
export function valueAt(series, track, t) {
  return series.values[snippetAt(series.grid || track.grid, t)] ?? NaN;
}

/** Return the row of a heat map that is highest at a second, and its value; null where there is none. */
export function strongest({ cells, names, grid, low, high }, t, row = null) {
  const n = cells.length / names.length, i = snippetAt(grid, t);
  if (!(i >= 0 && i < n)) return null;
  let best = row ?? 0;
  if (row === null) for (let k = 1; k < names.length; k++) if (cells[k * n + i] > cells[best * n + i]) best = k;
  return { name: names[best], value: low + (cells[best * n + i] / 255) * (high - low) };
}
