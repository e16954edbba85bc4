// Labels at the left of the rows: titles, legends, and every value at the pointer or playhead, never on the data.

import { STREAMS } from "./bars.js";
import { strongest, valueAt } from "./model.js";
import { clockText, escaped, number, tail } from "./text.js";

/** @typedef {import("./payload.js").Track} Track
 *  @typedef {{values: HTMLElement[], value: HTMLElement, name: ?HTMLElement}} Cells
 *    where a row's values are written: of each curve, of the row, and the name of what the latter is of */

/** Return an arrow of 10 x 10, downwards or upwards. */
export const arrow = (up = false) =>
  `<svg viewBox="0 0 10 10"><path d="${up ? "M1.5 7 5 3l3.5 4" : "M1.5 3 5 7l3.5-4"}"/></svg>`;
const NOTHING = '<div class="s" style="height:30px;padding:8px">No track is shown: choose some under Tracks.</div>';
const CROSS = '<svg viewBox="0 0 10 10"><path d="M2 2l6 6M8 2l-6 6"/></svg>';

/** Return the badge of a run's letter; nothing where there is none. */
export const badge = (run) => (run ? `<span class="badge">${escaped(run)}</span>` : "");

/** Return a line of a label: a sample of a dash pattern, a name, room for a value. */
const legend = (colour, dash, width, name) =>
  `<div class="s"><svg viewBox="0 0 16 8"><path d="M0 4h16" stroke="${colour}" stroke-width="${width}"` +
  ` stroke-dasharray="${dash.join(" ")}" fill="none"/></svg>` +
  `<span class="n">${escaped(name)}</span><span class="v"></span></div>`;

export class Labels {
  /**
   * @param {HTMLElement} rows around them
   * @param {HTMLElement} corner above them, says of which second the values are
   * @param {{onToggle: (choice: "folded" | "hidden", key: string) => void, onOffer: (key: string) => void,
   *   onDrop: (key: string, before: string) => void}} listener called with keys of tracks
   * @param {import("./component.js").On} on
   */
  constructor(rows, corner, listener, on) {
    this.rows = rows; this.corner = corner;
    /** @type {Cells[]} */
    this.cells = []; // of the model's visible rows, in their order
    this.signature = "";
    on(rows, "click", (e) => {
      const row = e.target.closest(".row"), button = e.target.closest("button");
      if (!row || !button) return;
      if (button.dataset.offer) listener.onOffer(button.dataset.offer);
      else listener.onToggle(button.classList.contains("fold") ? "folded" : "hidden", row.dataset.key);
    });
    this.listenToDrags(listener.onDrop, on);
  }

  listenToDrags(onDrop, on) {
    const { rows } = this;
    const clear = (...kinds) => { for (const row of rows.children) row.classList.remove(...kinds); };
    let dragged = null;
    const target = (e) => {
      const row = dragged && e.target.closest(".row");
      if (row) e.preventDefault(); // it may be dropped here
      return row;
    };
    on(rows, "dragstart", (e) => {
      dragged = e.target.closest(".row");
      dragged?.classList.add("drag");
      e.dataTransfer.effectAllowed = "move";
    });
    on(rows, "dragover", (e) => { const row = target(e); if (row) { clear("over"); row.classList.add("over"); } });
    on(rows, "drop", (e) => { const row = target(e); if (row) onDrop(dragged.dataset.key, row.dataset.key); });
    on(rows, "dragend", () => { clear("over", "drag"); dragged = null; });
  }

  /** Show the model's rows; elements are made anew only when titles, order, heights or theme changed. */
  show(model, look) {
    const facts = ({ track, h }) => [track.key, track.title, h, track.note, (track.series || []).map((s) => s.name)];
    const signature = JSON.stringify([model.visible.map(facts), look.dark]);
    if (signature === this.signature) return;
    this.signature = signature;
    this.rows.textContent = "";
    this.cells = model.visible.map((row) => this.add(row, model.folded(row.track), look));
    this.rows.style.height = model.total + "px";
    if (!this.cells.length) this.rows.innerHTML = NOTHING;
  }

  add({ track, y, h }, folded, look) {
    const row = document.createElement("div"), below = !folded && ["heat", "boundaries"].includes(track.kind);
    row.className = "row" + (folded ? " folded" : ""); row.dataset.key = track.key;
    row.style.top = y + "px"; row.style.height = h + "px";
    const remark = track.note && h > 30 && track.kind !== "offer";
    const lines = [
      remark ? `<div class="s"><span class="n">${escaped(track.note)}</span></div>` : "",
      ...(track.series || []).map((s) => legend(look.colour(s.role), s.dash, s.ghost ? 1.2 : 2, s.name)),
      ...Object.entries(track.kind === "boundaries" ? STREAMS : {})
        .map(([stream, role]) => legend(look.colour(role), [], 4, `${stream}, regressed`)),
      // What these read is too long for the title.
      below ? '<div class="s"><span class="n"></span><span class="v"></span></div>' : "",
    ];
    row.innerHTML = `<div class="label">${this.title(track, folded)}${lines.join("")}</div>`;
    this.rows.append(row);
    const last = row.firstChild.lastElementChild, values = [...row.querySelectorAll(".s .v")];
    const [name, value] = below ? last.children : [null, row.querySelector(".title .v")];
    return { values, value, name };
  }

  title({ key, title, about, run, kind, note }, folded) {
    const name = escaped(title), tip = escaped(title + (about ? ": " + about : ""));
    const offer = note
      ? `<button class="offer" data-offer="${escaped(key)}" title="${escaped(about)}">${escaped(note)}</button>`
      : "computing …";
    return `<div class="title">` +
      `<button class="fold" aria-label="Fold ${name}" aria-expanded="${!folded}">${arrow()}</button>` +
      `${badge(run)}<span class="t" draggable="true" title="${tip}">${name}</span>` +
      `<span class="v">${kind === "offer" ? offer : ""}</span>` +
      `<button class="hide" aria-label="Hide ${name}" title="Hide">${CROSS}</button></div>`;
  }

  /** Write the values at the model's `reading` into the rows in view. */
  read(model) {
    const t = model.reading, under = model.pointed ? model.rowAt(model.hover.y) : null, seen = new Set(model.inView());
    model.visible.forEach((row, i) => {
      const { track } = row, { values, value, name } = this.cells[i];
      if (!seen.has(row) || track.kind === "offer") return;
      const range = track.high - track.low;
      (track.series || []).forEach((s, k) => write(values[k], number(valueAt(s, track, t), range)));
      if (track.kind !== "heat") { write(value, valueText(track, t, model.folded(track))); return; }
      const at = strongest(track, t, row === under ? model.heatRow(row, model.hover.y) : null);
      write(value, at ? number(at.value) : "");
      if (name && at) write(name, at.name);
    });
    write(this.corner, model.pointed ? `at ${clockText(t, 2)}` : "at the playhead");
  }
}

function write(element, text) { if (element.textContent !== text) element.textContent = text; }

const ITEM_TEXT = {
  detections: (item) => number(item.score),
  boundaries: (item) => `OIC ${number(item.oic)}`,
  segments: (item) => tail(item.label),
};

/** Return what a row says of a second besides its curves. */
function valueText(track, t, folded) {
  if (track.series) return folded ? number(valueAt(track.series[0], track, t), track.high - track.low) : "";
  if (track.kind === "mask") return track.spans.some(([a, b]) => a <= t && t < b) ? "yes" : "no";
  const here = track.items.filter((i) => i.start <= t && t < i.end);
  if (!here.length) return "";
  return ITEM_TEXT[track.kind](here[0]) + (here.length > 1 ? ` +${here.length - 1}` : "");
}
