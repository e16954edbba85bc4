// A playing video and stacked tracks on one time axis. Plain ES module: Streamlit calls the default function on every
// rerun; one Timeline lives as long as its element does. The playhead never asks Python: only pauses, seeks, zooms and
// brush strokes are reported.

const AXIS = 24, LANE = 15, GAP = 2, FOLDED = 20, MAX_LANES = 5;
const PLAIN = { threshold: null, inner: null, outer: null, near: null, lowered_by: null, rivals: [], num_rivals: 0, soft: false };
const STREAMS = { RGB: "instance", flow: "context" };
const instances = new WeakMap();

export default function ({ data, parentElement, setStateValue, setTriggerValue }) {
  let timeline = instances.get(parentElement);
  if (!timeline) instances.set(parentElement, (timeline = new Timeline(parentElement.querySelector(".root"))));
  timeline.setState = setStateValue;
  timeline.setTrigger = setTriggerValue;
  timeline.update(data);
  return () => { timeline.destroy(); instances.delete(parentElement); };
}

// -- helpers --------------------------------------------------------------------------------------------------------

const clamp = (x, a, b) => Math.min(Math.max(x, a), b);
const escaped = (s) => String(s).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

// "GolfSwing/address" -> "address": which class a phase or a context belongs to is seen by where it lies.
const tail = (label) => label.slice(label.lastIndexOf("/") + 1);

function clockText(t, digits = 1) {
  if (!isFinite(t)) return "–";
  const scale = 10 ** digits, ticks = Math.round(Math.max(t, 0) * scale), whole = Math.floor(ticks / scale);
  const m = Math.floor(whole / 60), h = Math.floor(m / 60), two = (n) => String(n).padStart(2, "0");
  const tail = digits ? "." + String(ticks % scale).padStart(digits, "0") : "";
  return (h ? `${h}:${two(m % 60)}` : `${m}`) + `:${two(whole % 60)}${tail}`;
}

function number(v, range = 1) {
  if (v === null || v === undefined || !isFinite(v)) return "–";
  const a = Math.abs(v);
  if (a === 0) return "0";
  return (a !== 0 && a < 0.001) ? v.toExponential(1) : v.toFixed(range >= 100 ? 0 : range >= 10 || a >= 10 ? 1 : a < 0.01 ? 4 : range < 0.2 ? 3 : 2);
}

function unpack(bytes) {
  if (!(bytes instanceof Uint8Array)) throw new Error("the timeline got no bytes");
  const header = JSON.parse(new TextDecoder().decode(bytes)), body = window.__wtalArrays?.get(header.body);
  if (!body) return null; // on its way
  const views = kept(viewsOf, body, () => new Map());
  header.arrays = header.arrays.map(([type, offset, size]) => {
    const key = `${type} ${offset} ${size}`;
    if (!views.has(key)) views.set(key, type === "f4" ? new Float32Array(body, offset, size) : new Uint8Array(body, offset, size));
    return views.get(key);
  });
  return header;
}

// Kept for as long as what they belong to: a slider that brings new detections leaves the arrays, and what is made of them.
const viewsOf = new WeakMap(), highsOf = new WeakMap(), lowsOf = new WeakMap(), stacksOf = new WeakMap();

function kept(where, key, make) {
  let value = where.get(key);
  if (value === undefined) where.set(key, (value = make()));
  return value;
}

// Extrema of 1, 2, 4, ... values from each place on. That of any range is the better of two that overlap, so that a pixel
// column costs the same however many snippets lie in it. NaN counts as nothing.
const higher = (a, b) => (b > a || a !== a ? b : a), lower = (a, b) => (b < a || a !== a ? b : a);
const powerOf = (length) => 31 - Math.clz32(length);

function extrema(where, values, longest, better) {
  const levels = kept(where, values, () => [values]);
  while (levels.length <= powerOf(longest)) {
    const last = levels[levels.length - 1], half = 1 << (levels.length - 1), next = last.slice();
    for (let i = 0, end = last.length - half; i < end; i++) next[i] = better(last[i], last[i + half]);
    levels.push(next);
  }
  return levels;
}

function lanesOf(items, most = Infinity) {
  // Greedy: each item goes into the first lane that is free from its start on; items that fit in none get -1.
  const ends = [];
  for (const item of items) {
    let lane = ends.findIndex((spans) => spans.every(([a, b]) => item.end <= a + 1e-6 || item.start >= b - 1e-6));
    if (lane < 0 && ends.length < most) lane = ends.push([]) - 1;
    if (lane >= 0) ends[lane].push([item.start, item.end]);
    item.lane = lane;
  }
  return Math.max(1, ends.length);
}

function store(key, value) {
  for (const where of ["localStorage", "sessionStorage"]) {
    try {
      if (value === undefined) { const text = window[where].getItem(key); if (text) return JSON.parse(text); }
      else window[where].setItem(key, JSON.stringify(value));
    } catch { /* storage may be switched off: the choice then lasts as long as the page */ }
  }
  return undefined;
}

function hatch(colour, dpr) {
  const tile = document.createElement("canvas"), n = Math.round(6 * dpr), c = ((tile.width = tile.height = n), tile.getContext("2d"));
  c.strokeStyle = colour; c.lineWidth = 1.4 * dpr; c.globalAlpha = 0.75;
  for (const d of [-n, 0, n]) { c.beginPath(); c.moveTo(d - 1, n + 1); c.lineTo(d + n + 1, -1); c.stroke(); }
  return tile;
}

const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
const mix = (a, b, f) => a.map((v, i) => Math.round(v + (b[i] - v) * f));
const hexOf = (c) => "#" + c.map((v) => v.toString(16).padStart(2, "0")).join("");

function parseColour(text, fallback) {
  const m = /^#([0-9a-f]{6})/i.exec(text.trim());
  if (m) return "#" + m[1];
  const n = text.match(/[\d.]+/g);
  return n && n.length >= 3 ? hexOf(n.slice(0, 3).map((v) => Math.round(+v))) : fallback;
}

const SVG_LINE = (colour, dash, width) => `<svg viewBox="0 0 16 8"><path d="M0 4h16" stroke="${colour}" stroke-width="${width}" stroke-dasharray="${dash.join(" ")}" fill="none"/></svg>`;

const KEYS = [
  ["Space", "play / pause"], ["J  K  L", "backward, pause, forward (again: faster)"], ["← →", "frame"], ["Shift ← →", "snippet"],
  ["Alt ← →", "second"], ["[  ]", "previous / next ground truth"], ["{  }", "previous / next detection"], ["f  F", "next / previous failure"], ["n  N", "next / previous video"],
  ["+  −  0", "zoom in, out, whole video"], ["Home  End", "start, end"], ["↑ ↓", "scroll tracks"], ["e", "erase brush on / off"], ["Backspace", "bring erased snippets back"],
  ["Esc", "close, deselect"], ["?", "this help"], ["click, drag", "seek"], ["wheel", "zoom at the pointer"],
  ["Shift wheel", "pan; also drag the ruler, or Shift drag"], ["Alt drag", "zoom into a range"], ["double click", "on a heat map: pick the class"],
];

// -- the component --------------------------------------------------------------------------------------------------

class Timeline {
  constructor(root) {
    this.root = root;
    this.$ = (s) => root.querySelector(s);
    this.video = this.$("video"); this.base = this.$("canvas.base"); this.over = this.$("canvas.over");
    this.scroll = this.$(".scroll"); this.rows = this.$(".rows"); this.info = this.$(".info"); this.mini = this.$(".overview canvas");
    this.data = null; this.rev = null; this.t = 0; this.view = [0, 1]; this.hover = null; this.chosen = null;
    this.rate = 1; this.direction = 0; this.erasing = false; this.erased = []; this.dirty = false;
    this.prefs = Object.assign({ order: [], hidden: {}, folded: {} }, store("wtal.tracks"));
    this.draws = []; this.widths = new Map(); this.sheets = new Map(); this.abort = new AbortController();
    this.listen();
    this.sizes = new ResizeObserver(() => this.layout());
    this.sizes.observe(root);
    this.raf = this.frames = 0;
    this.$(".help").innerHTML = KEYS.map(([k, v]) => `<div><kbd>${escaped(k)}</kbd><span>${escaped(v)}</span></div>`).join("");
  }

  destroy() {
    cancelAnimationFrame(this.raf); clearTimeout(this.reporting); clearTimeout(this.late); clearTimeout(this.stepping); this.abort.abort(); this.sizes.disconnect();
    this.video.pause(); this.video.removeAttribute("src"); this.video.load();
  }

  // -- data ----------------------------------------------------------------------------------------------------------

  update(bytes) {
    const repaint = this.theme();
    let header;
    try { header = unpack(bytes); } catch (error) { this.complain(`The timeline cannot be shown: ${error.message}.`); return; }
    clearTimeout(this.late); this.waiting = header ? null : bytes;
    if (!header) { this.late = setTimeout(() => this.complain("The curves have not arrived. Reload the page."), 8000); return; }
    if (header.rev === this.rev) { if (repaint) this.layout(); return; }
    this.complain("");
    const first = !this.data, moved = first || header.subject !== this.data.subject, chosen = this.chosen !== null && !moved ? this.found(this.chosen) : null;
    this.data = header; this.rev = header.rev;
    this.root.classList.toggle("timeline-only", !header.video.url);
    if (this.src !== header.video.url || !this.unplayable) this.showStage(header.video.url ? "" : header.video.problem, header.video.offer);
    if (this.src !== header.video.url) {
      this.src = header.video.url; this.unplayable = false; this.pause();
      if (this.src) { this.video.src = this.src; } else { this.video.removeAttribute("src"); this.video.load(); }
    }
    if (moved) {
      this.chosen = null; this.erased = []; this.pause();
      const { t, from, to } = header.start;
      this.view = from !== null && to !== null && to > from ? [clamp(from, 0, this.end), clamp(to, 0, this.end)] : [0, this.end];
      if (this.view[1] - this.view[0] < this.shortest) this.view = [0, this.end];
      this.seek(t ?? 0, { quiet: true, follow: t !== null });
    }
    this.erased = header.erased ?? this.erased;
    for (const track of header.tracks) this.prepare(track);
    this.moments();
    if (chosen) this.chosen = this.same(chosen);
    this.layout(); this.showInfo();
    if (header.hook) window.__wtal = this;
    this.root.dataset.ready = "1"; this.root.dataset.rev = header.rev;
  }

  showStage(problem, offer) {
    // Beside a video that cannot be shown: why, the clock, and the way out.
    const html = problem ? `<b class="num"></b><span>${escaped(problem)}</span>${offer ? `<button class="b text" data-offer="copy">${escaped(offer)}</button>` : ""}` : "";
    if (html === this.stage) return;
    this.stage = html; this.clock = "";
    this.$(".novideo").hidden = !html; this.$(".novideo").innerHTML = html;
  }

  ask(what, more = {}) { this.setTrigger?.("ask", { what, ...more, subject: this.data.subject }); }

  step(by) {
    // Keys that follow each other quickly are one step over several videos.
    this.steps = (this.steps || 0) + by;
    clearTimeout(this.stepping);
    this.stepping = setTimeout(() => { if (this.steps) this.ask("step", { by: this.steps }); this.steps = 0; }, 220);
  }

  get end() { return this.data.duration; }
  get shortest() { return Math.max(0.4, 2 / (this.data.fps || 25)); }

  prepare(track) {
    for (const s of track.series || []) if (typeof s.values === "number") s.values = this.data.arrays[s.values];
    if (typeof track.cells === "number") track.cells = this.data.arrays[track.cells];
    if (track.kind === "segments") track.lanes = lanesOf(track.items, 4);
    if (track.kind === "boundaries") track.lanes = lanesOf(track.items, 6);
    if (track.kind === "detections") {
      track.lanes = lanesOf(track.items, MAX_LANES); // best first
      for (const item of track.items) for (const [k, v] of Object.entries(PLAIN)) item[k] ??= v;
      track.missed = track.misses.length > 0;
    }
    if (this.prefs.hidden[track.key] === undefined && track.hidden) this.prefs.hidden[track.key] = true;
    if (this.prefs.folded[track.key] === undefined && track.folded) this.prefs.folded[track.key] = true;
  }

  moments() {
    // Where keys jump to: starts of ground truth, of the leading run's detections, and of its failures.
    const of = (kind) => this.data.tracks.filter((t) => t.kind === kind);
    const starts = (items) => [...new Set(items.map((i) => i.start))].sort((a, b) => a - b);
    this.truths = starts(of("segments").filter((t) => t.key === "gt").flatMap((t) => t.items));
    const lead = of("detections")[0];
    this.detections = starts(lead ? lead.items.filter((i) => i.lane >= 0) : []);
    this.failures = lead ? [...lead.items.filter((i) => i.verdict === "fp" && i.lane >= 0), ...lead.misses].sort((a, b) => a.start - b.start) : [];
  }

  found(id) {
    for (const track of this.data.tracks) if (track.kind === "detections") {
      const item = track.items.find((i) => i.id === id);
      if (item) return { track, item };
    }
    return null;
  }

  same({ track, item }) {
    // Ids count by score: what was chosen is found again by where it lies, else nothing is chosen.
    const overlap = (i) => (Math.min(i.end, item.end) - Math.max(i.start, item.start)) / (Math.max(i.end, item.end) - Math.min(i.start, item.start));
    const alike = (this.data.tracks.find((t) => t.key === track.key)?.items || []).filter((i) => i.label === item.label && i.lane >= 0);
    const best = alike.sort((a, b) => overlap(b) - overlap(a))[0];
    return best && overlap(best) > 0.7 ? best.id : null;
  }

  complain(text) { const p = this.$(".problem"); p.hidden = !text; p.textContent = text; }

  // -- look ----------------------------------------------------------------------------------------------------------

  theme() {
    const style = getComputedStyle(this.root), of = (name, other) => parseColour(style.getPropertyValue(name) || "", other);
    const paper = of("--st-background-color", "#ffffff"), ink = of("--st-text-color", "#1d2430");
    const [r, g, b] = rgb(paper), dark = 0.3 * r + 0.59 * g + 0.11 * b < 128;
    if (this.paper === paper && this.ink === ink) return false;
    this.paper = paper; this.ink = ink; this.dark = dark; this.hatches = {};
    this.line = hexOf(mix(rgb(paper), rgb(ink), 0.14)); this.soft = hexOf(mix(rgb(paper), rgb(ink), 0.6));
    const low = rgb(paper), mid = rgb(dark ? "#1f6fa8" : "#56a7d8"), high = rgb(dark ? "#d9f0ff" : "#06304f");
    this.lut = new Uint32Array(256);
    for (let i = 0; i < 256; i++) {
      const f = i / 255, c = f < 0.55 ? mix(low, mid, f / 0.55) : mix(mid, high, (f - 0.55) / 0.45);
      this.lut[i] = (255 << 24) | (c[2] << 16) | (c[1] << 8) | c[0];
    }
    return true;
  }

  colour(role) { return this.data.palette[this.dark ? "dark" : "light"][role] || this.ink; }

  pattern(ctx, role) {
    const key = role + this.dpr;
    if (!this.hatches[key]) {
      this.hatches[key] = ctx.createPattern(hatch(this.colour(role), this.dpr), "repeat");
      this.hatches[key].setTransform(new DOMMatrix().scale(1 / this.dpr));
    }
    return this.hatches[key];
  }

  font(ctx, size) { ctx.font = this.fontSet = `${size} ${(this.family ||= getComputedStyle(this.root).fontFamily)}`; }

  width(ctx, text) {
    // How wide a text is in the font that is set, measured once.
    const key = this.fontSet + text;
    let wide = this.widths.get(key);
    if (wide === undefined) {
      if (this.widths.size > 4000) this.widths.clear();
      this.widths.set(key, (wide = ctx.measureText(text).width));
    }
    return wide;
  }

  shown() {
    const rank = new Map(this.prefs.order.map((k, i) => [k, i]));
    const place = (t, i) => (rank.has(t.key) ? rank.get(t.key) : 1e3 + i);
    return this.data.tracks.map((t, i) => [t, place(t, i)]).sort((a, b) => a[1] - b[1]).map(([t]) => t);
  }

  heightOf(track) {
    if (this.prefs.folded[track.key]) return FOLDED;
    const text = 19 + 13 * (track.series ? track.series.length : 0);
    switch (track.kind) {
      case "boundaries": return Math.max(80, 6 + track.lanes * (LANE + GAP));
      case "segments": return Math.max(22, 6 + track.lanes * (LANE + GAP));
      case "detections": return Math.max(track.note ? 36 : 24, 6 + track.lanes * (LANE + GAP) + (track.missed ? 11 : 0));
      case "heat": return Math.max(36, 4 + track.names.length * clamp(Math.round(96 / track.names.length), 4, 10));
      case "mask": case "offer": return 24;
      default: return Math.max(50, text + 4);
    }
  }

  layout() {
    if (!this.data) return;
    const body = this.$(".body"), width = body.clientWidth, height = body.clientHeight;
    if (!width) return;
    this.dpr = (window.devicePixelRatio || 1) * (body.getBoundingClientRect().width / body.offsetWidth || 1); // with magnification
    this.gutter = Math.round(clamp(width * 0.19, 170, 250));
    this.root.style.setProperty("--gutter", this.gutter + "px");
    for (const role of ["gt", "tp", "fp", "fn"]) this.root.style.setProperty("--" + role, this.colour(role));
    this.root.style.setProperty("--on-tp", this.dark ? "#0b1016" : "#fff");
    // The list of rows is rebuilt only when tracks, order, folding or theme changed.
    const order = this.shown(), signature = JSON.stringify([order.map((t) => [t.key, t.title, this.heightOf(t), !!this.prefs.hidden[t.key], t.note, (t.series || []).map((s) => s.name)]), this.dark]);
    if (signature !== this.signature) { this.signature = signature; this.buildRows(order); }
    else this.visible.forEach((row) => (row.track = order.find((t) => t.key === row.track.key)));
    const inner = this.rows.clientWidth || width;
    this.w = Math.max(50, inner - this.gutter); this.h = height;
    for (const canvas of [this.base, this.over]) {
      const pw = Math.round(this.w * this.dpr), ph = Math.round(height * this.dpr);
      if (canvas.width !== pw || canvas.height !== ph) {
        canvas.width = pw; canvas.height = ph; canvas.style.width = this.w + "px"; canvas.style.height = height + "px";
      }
    }
    const mini = this.$(".overview");
    this.miniW = mini.clientWidth; this.miniH = mini.clientHeight; this.strips = null;
    this.mini.width = Math.round(this.miniW * this.dpr); this.mini.height = Math.round(this.miniH * this.dpr);
    this.$(".overview").setAttribute("aria-valuemax", this.end.toFixed(1));
    this.wake(true);
  }

  buildRows(order) {
    this.visible = []; this.rows.textContent = "";
    let y = 0;
    for (const track of order) {
      if (this.prefs.hidden[track.key]) continue;
      const h = this.heightOf(track), row = document.createElement("div"), folded = !!this.prefs.folded[track.key];
      row.className = "row" + (folded ? " folded" : ""); row.style.top = y + "px"; row.style.height = h + "px"; row.dataset.key = track.key;
      const badge = track.run ? `<span class="badge">${escaped(track.run)}</span>` : "";
      row.innerHTML = `<div class="label"><div class="title"><button class="fold" aria-label="Fold ${escaped(track.title)}" aria-expanded="${!folded}"><svg viewBox="0 0 10 10"><path d="M1.5 3 5 7l3.5-4"/></svg></button>${badge}<span class="t" draggable="true" title="${escaped(track.title + (track.about ? ": " + track.about : ""))}">${escaped(track.title)}</span><span class="v"></span><button class="hide" aria-label="Hide ${escaped(track.title)}" title="Hide"><svg viewBox="0 0 10 10"><path d="M2 2l6 6M8 2l-6 6"/></svg></button></div></div>`;
      const label = row.firstChild, values = [];
      if (track.kind === "offer") row.querySelector(".v").innerHTML = track.note ? `<button class="offer" data-offer="${escaped(track.key)}" title="${escaped(track.about)}">${escaped(track.note)}</button>` : "computing …";
      else if (track.note && h > 30) label.insertAdjacentHTML("beforeend", `<div class="s"><span class="n">${escaped(track.note)}</span></div>`);
      for (const s of track.series || []) {
        const line = document.createElement("div");
        line.className = "s";
        line.innerHTML = SVG_LINE(this.colour(s.role), s.dash || [], s.ghost ? 1.2 : 2) + `<span class="n">${escaped(s.name)}</span><span class="v"></span>`;
        label.append(line); values.push(line.lastChild);
      }
      // What these read is too long for the title.
      const below = !folded && ["heat", "boundaries"].includes(track.kind);
      if (track.kind === "boundaries") label.insertAdjacentHTML("beforeend", ["RGB", "flow"].map((stream) => `<div class="s">${SVG_LINE(this.colour(STREAMS[stream]), [], 4)}<span class="n">${stream}, regressed</span></div>`).join(""));
      if (below) label.insertAdjacentHTML("beforeend", `<div class="s"><span class="n"></span><span class="v"></span></div>`);
      this.rows.append(row);
      const [name, value] = below ? label.lastElementChild.children : [null, row.querySelector(".title .v")];
      this.visible.push({ track, y, h, el: row, values, value, name });
      y += h;
    }
    this.rows.style.height = y + "px"; this.total = y;
    if (!this.visible.length) this.rows.innerHTML = `<div class="s" style="height:30px;padding:8px">No track is shown: choose some under Tracks.</div>`;
  }

  savePrefs() { store("wtal.tracks", this.prefs); this.layout(); }

  // -- time ----------------------------------------------------------------------------------------------------------

  x(t) { return ((t - this.view[0]) / (this.view[1] - this.view[0])) * this.w; }
  at(x) { return this.view[0] + (x / this.w) * (this.view[1] - this.view[0]); }

  seek(t, { quiet = false, follow = true } = {}) {
    this.t = clamp(t, 0, Math.max(0, this.end - 1e-3));
    if (this.src && this.video.readyState >= 1) this.video.currentTime = Math.min(this.t, this.video.duration || this.t);
    else this.pending = this.t;
    if (follow) this.reveal(this.t);
    this.wake();
    this.say();
    if (!quiet) this.report();
  }

  reveal(t) {
    const [a, b] = this.view, span = b - a;
    if (t >= a && t <= b) return;
    this.setView(t - span * 0.15, t + span * 0.85);
  }

  setView(a, b, report = true) {
    let span = clamp(b - a, this.shortest, this.end);
    const middle = (a + b) / 2;
    a = b - a === span ? a : middle - span / 2;
    a = clamp(a, 0, this.end - span);
    this.view = [a, a + span]; this.wake(true);
    if (report) this.report();
  }

  zoom(factor, around = this.t) {
    const [a, b] = this.view, span = clamp((b - a) * factor, this.shortest, this.end), f = (around - a) / (b - a);
    this.setView(around - f * span, around + (1 - f) * span);
  }

  report() {
    clearTimeout(this.reporting);
    this.reporting = setTimeout(() => {
      const whole = this.view[0] <= 1e-3 && this.view[1] >= this.end - 1e-3;
      const state = { t: +this.t.toFixed(2), from: whole ? null : +this.view[0].toFixed(2), to: whole ? null : +this.view[1].toFixed(2), subject: this.data.subject };
      const text = JSON.stringify(state);
      if (text !== this.reported && this.direction === 0) { this.reported = text; this.setState?.("moment", state); }
    }, 350);
  }

  get playing() { return this.direction !== 0; }

  play(direction = 1, rate = 1) {
    this.direction = direction; this.rate = rate; this.last = performance.now();
    if (this.t >= this.end - 0.05 && direction > 0) this.seek(0, { quiet: true });
    if (this.src) {
      if (direction > 0) { this.video.playbackRate = rate; this.video.play().catch(() => this.pause()); }
      else this.video.pause();
    }
    this.root.classList.toggle("playing", true);
    this.$(".rate").textContent = direction < 0 ? `−${rate}×` : rate === 1 ? "" : `${rate}×`;
    this.wake();
  }

  pause() {
    const was = this.playing;
    this.direction = 0; this.rate = 1;
    if (this.src) this.video.pause();
    this.root.classList.toggle("playing", false); this.$(".rate").textContent = "";
    if (was) { this.say(); this.report(); }
  }

  wake(all = false) {
    // A frame is asked for when something changed: a paused timeline costs nothing.
    this.dirty ||= all;
    this.raf ||= requestAnimationFrame(() => { this.raf = 0; this.frame(); });
  }

  frame() {
    if (!this.data) return;
    this.frames += 1;
    if (this.playing) this.advance();
    if (this.dirty) {
      const began = performance.now();
      this.dirty = false;
      this.draw();
      this.draws.push(performance.now() - began);
      if (this.draws.length > 400) this.draws.shift();
    }
    this.drawOver();
    if (this.playing) this.wake();
  }

  advance() {
    const now = performance.now(), dt = ((now - this.last) / 1000) * this.rate;
    if (this.src && this.direction > 0) this.t = this.video.currentTime;
    else {
      this.t = clamp(this.t + dt * this.direction, 0, this.end);
      if (this.src && !this.video.seeking) this.video.currentTime = this.t;
    }
    this.last = now;
    const [a, b] = this.view, ahead = this.direction > 0;
    if (ahead ? this.t >= this.end - 1e-3 : this.t <= 0) this.pause();
    else if ((this.t > b || this.t < a) && !this.grab) this.setView(this.t - (ahead ? 0.05 : 0.95) * (b - a), this.t + (ahead ? 0.95 : 0.05) * (b - a), false);
  }

  say() {
    if (!this.data) return;
    const box = this.$(".overview"), names = this.data.tracks.filter((t) => t.key === "gt").flatMap((t) => t.items).filter((i) => i.start <= this.t && this.t < i.end).map((i) => i.label);
    box.setAttribute("aria-valuenow", this.t.toFixed(1));
    box.setAttribute("aria-valuetext", clockText(this.t) + (names.length ? ", " + [...new Set(names)].join(", ") : ""));
  }

  // -- input ---------------------------------------------------------------------------------------------------------

  listen() {
    const on = (el, kinds, f, options = {}) => kinds.split(" ").forEach((k) => el.addEventListener(k, f, { signal: this.abort.signal, ...options }));
    on(window, "wtal-arrays", () => { if (this.waiting) this.update(this.waiting); });
    on(this.root, "keydown", (e) => this.key(e));
    // Keys work wherever nothing else listens to them.
    on(document, "keydown", (e) => { if (!e.defaultPrevented && e.target.matches?.("html, body, .stApp, .stMain, .stMainBlockContainer")) this.key(e); });
    on(this.$(".bar"), "click", (e) => { const b = e.target.closest("button"); if (b) this.act(b.dataset.do); });
    on(this.scroll, "scroll", () => this.wake(true));
    on(this.over, "pointerdown", (e) => this.down(e));
    on(this.over, "pointermove", (e) => this.move(e));
    on(this.over, "pointerup pointercancel", (e) => this.up(e));
    on(this.over, "pointerleave", () => { this.hover = null; this.wake(); });
    on(this.over, "wheel", (e) => this.wheel(e), { passive: false });
    on(this.over, "dblclick", (e) => this.double(e));
    on(this.$(".overview"), "pointerdown", (e) => { e.currentTarget.setPointerCapture(e.pointerId); this.miniGrab = true; this.miniSeek(e); });
    on(this.$(".overview"), "pointermove", (e) => this.miniGrab && this.miniSeek(e));
    on(this.$(".overview"), "pointerup pointercancel", () => (this.miniGrab = false));
    on(this.video, "loadedmetadata", () => { if (this.pending !== undefined) { this.video.currentTime = this.pending; this.pending = undefined; } this.wake(); });
    on(this.video, "seeked", () => { this.seekedAt = performance.now(); if (!this.playing) this.wake(); });
    on(this.video, "ended", () => this.pause());
    on(this.video, "pause", () => { if (this.direction > 0 && !this.video.seeking && !this.video.ended) this.pause(); });
    on(this.video, "click", () => (this.playing ? this.pause() : this.play()));
    on(this.video, "error", () => { if (this.src) { this.unplayable = true; this.showStage("The browser cannot play this video; the timeline works without it.", "Make a browser copy"); this.wake(); } });
    on(this.$(".novideo"), "click", (e) => { if (e.target.closest("[data-offer]")) this.ask("copy"); });
    on(this.rows, "click", (e) => {
      const row = e.target.closest(".row"), button = e.target.closest("button");
      if (!row || !button) return;
      if (button.dataset.offer) { this.ask(button.dataset.offer); return; }
      const room = button.classList.contains("fold") ? "folded" : "hidden";
      this.prefs[room][row.dataset.key] = !this.prefs[room][row.dataset.key];
      this.savePrefs();
    });
    on(this.rows, "dragstart", (e) => { this.dragged = e.target.closest(".row"); this.dragged?.classList.add("drag"); e.dataTransfer.effectAllowed = "move"; });
    on(this.rows, "dragover", (e) => { const row = e.target.closest(".row"); if (this.dragged && row) { e.preventDefault(); this.rows.querySelectorAll(".over").forEach((r) => r.classList.remove("over")); row.classList.add("over"); } });
    on(this.rows, "drop", (e) => { const row = e.target.closest(".row"); if (this.dragged && row) { e.preventDefault(); this.reorder(this.dragged.dataset.key, row.dataset.key); } });
    on(this.rows, "dragend", () => { this.rows.querySelectorAll(".over,.drag").forEach((r) => r.classList.remove("over", "drag")); this.dragged = null; });
    on(this.info, "click", (e) => { const b = e.target.closest("[data-t]"); if (b) { this.seek(+b.dataset.t); if (b.dataset.id) this.choose(b.dataset.id); } });
    on(this.$(".menu"), "change", (e) => { this.prefs.hidden[e.target.value] = !e.target.checked; this.savePrefs(); });
    on(this.$(".menu"), "click", (e) => {
      const move = e.target.closest("[data-move]");
      if (move) { this.shift(move.dataset.key, move.dataset.move === "up" ? -1 : 1); this.$(`.menu [data-key="${CSS.escape(move.dataset.key)}"][data-move=${move.dataset.move}]`)?.focus(); return; }
      const what = e.target.dataset?.menu;
      if (what === "reset") this.prefs = { order: [], hidden: {}, folded: {} };
      if (what === "fold" || what === "unfold") for (const t of this.data.tracks) this.prefs.folded[t.key] = what === "fold";
      if (what) { if (what === "reset") this.data.tracks.forEach((t) => this.prepare(t)); this.savePrefs(); this.showMenu(); }
    });
    on(document, "pointerdown", (e) => { if (!e.composedPath().includes(this.$(".body")) && !e.composedPath().includes(this.$(".bar"))) this.$(".menu").hidden = this.$(".help").hidden = true; });
  }

  act(what) {
    const target = { menu: () => this.showMenu(true), help: () => (this.$(".help").hidden = !this.$(".help").hidden), fit: () => this.setView(0, this.end),
      play: () => (this.playing ? this.pause() : this.play()), nextgt: () => this.jump(this.truths, 1), prevgt: () => this.jump(this.truths, -1), erase: () => this.toggleErase() }[what];
    target?.();
  }

  toggleErase() {
    if (!this.data.erasable) { this.complain("Erasing needs the run's checkpoint and the features of this video."); setTimeout(() => this.complain(""), 4000); return; }
    this.erasing = !this.erasing;
    this.root.classList.toggle("erasing", this.erasing);
    this.$("[data-do=erase]").setAttribute("aria-pressed", this.erasing);
    this.wake();
  }

  reorder(key, before) {
    const keys = this.shown().map((t) => t.key).filter((k) => k !== key);
    keys.splice(keys.indexOf(before), 0, key);
    this.prefs.order = keys; this.savePrefs();
  }

  shift(key, by) {
    const keys = this.shown().map((t) => t.key), at = keys.indexOf(key), to = clamp(at + by, 0, keys.length - 1);
    keys.splice(to, 0, ...keys.splice(at, 1));
    this.prefs.order = keys; this.savePrefs(); this.showMenu();
  }

  showMenu(toggle = false) {
    const menu = this.$(".menu");
    if (toggle) menu.hidden = !menu.hidden;
    if (menu.hidden) return;
    this.$(".help").hidden = true;
    menu.innerHTML = `<div class="actions"><button class="b text" data-menu="fold">Fold all</button><button class="b text" data-menu="unfold">Unfold all</button><button class="b text" data-menu="reset">Reset</button></div>` +
      this.shown().map((t) => `<div class="item"><label><input type="checkbox" value="${escaped(t.key)}" ${this.prefs.hidden[t.key] ? "" : "checked"}>${t.run ? `<span class="badge">${escaped(t.run)}</span>` : ""}<span class="n">${escaped(t.title)}</span></label>${["up", "down"].map((d) => `<button class="b" data-move="${d}" data-key="${escaped(t.key)}" aria-label="Move ${escaped(t.title)} ${d}" title="Move ${d}"><svg viewBox="0 0 10 10"><path d="${d === "up" ? "M1.5 7 5 3l3.5 4" : "M1.5 3 5 7l3.5-4"}"/></svg></button>`).join("")}</div>`).join("");
  }

  place(e) {
    const box = this.over.getBoundingClientRect();
    const scale = this.w / (box.width || this.w); // the component is magnified on very large screens
    return { x: clamp((e.clientX - box.left) * scale, 0, this.w), y: (e.clientY - box.top) * scale };
  }

  rowAt(y) {
    const inner = y - AXIS + this.scroll.scrollTop;
    return y < AXIS ? null : this.visible.find((r) => inner >= r.y && inner < r.y + r.h) || null;
  }

  down(e) {
    this.root.focus({ preventScroll: true });
    const { x, y } = this.place(e), t = this.at(x);
    this.over.setPointerCapture(e.pointerId);
    const mode = this.erasing && y >= AXIS ? "erase" : e.altKey ? "range" : y < AXIS || e.shiftKey || e.button === 1 ? "pan" : "seek";
    this.grab = { mode, x, y, t, view: [...this.view], moved: false };
    if (mode === "seek") {
      if (this.playing) this.pause();
      const hit = this.hit(x, y);
      this.choose(hit ? hit.item.id : null);
      this.seek(t, { follow: false });
    }
    this.wake();
  }

  move(e) {
    const { x, y } = this.place(e);
    this.hover = { x, y };
    if (this.grab) {
      const g = this.grab;
      if (Math.abs(x - g.x) > 2) g.moved = true;
      if (g.mode === "seek" && g.moved) this.seek(this.at(x), { follow: false });
      if (g.mode === "pan" && g.moved) { const d = ((x - g.x) / this.w) * (g.view[1] - g.view[0]); this.setView(g.view[0] - d, g.view[1] - d); }
      g.to = this.at(x);
    }
    this.wake();
  }

  up(e) {
    const g = this.grab;
    this.grab = null; this.wake();
    if (!g) return;
    const [a, b] = [Math.min(g.t, g.to ?? g.t), Math.max(g.t, g.to ?? g.t)];
    if (g.mode === "range" && b - a > this.shortest / 4) this.setView(a, b);
    if (g.mode === "pan" && !g.moved) this.seek(g.t, { follow: false });
    if (g.mode === "erase") {
      const step = this.data.step, low = Math.floor((a - this.data.t0) / step + 1e-6), high = Math.ceil((b - this.data.t0) / step - 1e-6);
      const span = [clamp(this.data.t0 + low * step, 0, this.end), clamp(this.data.t0 + Math.max(high, low + 1) * step, 0, this.end)];
      // A stroke that starts on erased snippets brings back what it passes.
      this.erase(this.erased.some(([c, d]) => c <= g.t && g.t < d)
        ? this.erased.flatMap(([c, d]) => [[c, Math.min(d, span[0])], [Math.max(c, span[1]), d]]).filter(([c, d]) => d - c > 1e-6)
        : this.merge([...this.erased, span]));
    }
  }

  erase(spans) {
    this.erased = spans; this.wake();
    this.setTrigger?.("erase", { spans, subject: this.data.subject });
  }

  merge(spans) {
    const out = [];
    for (const s of [...spans].sort((a, b) => a[0] - b[0])) {
      const last = out[out.length - 1];
      if (last && s[0] <= last[1] + 1e-6) last[1] = Math.max(last[1], s[1]); else out.push([...s]);
    }
    return out;
  }

  double(e) {
    const { y } = this.place(e), row = this.rowAt(y);
    if (row?.track.kind === "heat") {
      const name = row.track.names[this.heatRow(row, y)];
      if (name && this.data.classes.includes(name)) this.setTrigger?.("label", { name, subject: this.data.subject });
    }
  }

  heatRow(row, y) {
    const inner = y - AXIS + this.scroll.scrollTop - row.y;
    return this.prefs.folded[row.track.key] ? row.track.row : clamp(Math.floor(((inner - 2) / (row.h - 4)) * row.track.names.length), 0, row.track.names.length - 1);
  }

  wheel(e) {
    e.preventDefault();
    const { x } = this.place(e), span = this.view[1] - this.view[0], unit = e.deltaMode === 1 ? 16 : 1;
    if (e.shiftKey || Math.abs(e.deltaX) > Math.abs(e.deltaY)) {
      const d = (((e.deltaX || e.deltaY) * unit) / this.w) * span;
      this.setView(this.view[0] + d, this.view[1] + d);
    } else this.zoom(Math.exp(clamp(e.deltaY * unit, -240, 240) * 0.0022), this.at(x));
    this.hover = this.place(e);
  }

  miniSeek(e) {
    const box = this.$(".overview").getBoundingClientRect(), t = clamp((e.clientX - box.left) / box.width, 0, 1) * this.end, span = this.view[1] - this.view[0];
    if (span < this.end - 1e-3) this.setView(t - span / 2, t + span / 2);
    this.seek(t, { follow: false });
  }

  jump(times, direction) {
    // 0.05 s of tolerance, so that two presses in a row go on.
    const next = direction > 0 ? times.find((s) => s > this.t + 0.05) : [...times].reverse().find((s) => s < this.t - 0.05);
    if (next !== undefined) this.seek(next);
  }

  jumpFailure(direction) {
    const list = direction > 0 ? this.failures : [...this.failures].reverse();
    const next = list.find((f) => (direction > 0 ? f.start > this.t + 0.05 : f.start < this.t - 0.05)) || list[0];
    if (next) { this.seek(next.start); this.choose(next.id ?? null); }
  }

  key(e) {
    if (e.ctrlKey || e.metaKey || (e.target.closest("button, input, summary") && (e.key === " " || e.key === "Enter"))) return;
    const fps = this.data?.fps || 25, step = this.data?.step || 1, arrow = e.key === "ArrowRight" ? 1 : e.key === "ArrowLeft" ? -1 : 0;
    if (!this.data) return;
    let done = true;
    if (arrow) {
      if (this.playing) this.pause();
      if (e.altKey) this.seek(this.t + arrow);
      else if (e.shiftKey) this.seek(this.t + arrow * step);
      else this.seek((Math.floor(this.t * fps + 1e-3) + arrow + 0.5) / fps);
    } else switch (e.key) {
      case " ": case "k": case "K": this.playing || e.key !== " " ? this.pause() : this.play(); break;
      case "l": case "L": this.play(1, this.direction > 0 ? Math.min(8, this.rate * 2) : 1); break;
      case "j": case "J": this.play(-1, this.direction < 0 ? Math.min(8, this.rate * 2) : 1); break;
      case "[": this.jump(this.truths, -1); break;
      case "]": this.jump(this.truths, 1); break;
      case "{": this.jump(this.detections, -1); break;
      case "}": this.jump(this.detections, 1); break;
      case "n": this.step(1); break;
      case "N": this.step(-1); break;
      case "f": this.jumpFailure(1); break;
      case "F": this.jumpFailure(-1); break;
      case "+": case "=": this.zoom(1 / 1.5); break;
      case "-": case "_": this.zoom(1.5); break;
      case "0": this.setView(0, this.end); break;
      case "Home": this.seek(0); break;
      case "End": this.seek(this.end); break;
      case "ArrowUp": this.scroll.scrollTop -= 60; break;
      case "ArrowDown": this.scroll.scrollTop += 60; break;
      case "e": this.toggleErase(); break;
      case "Backspace": if (this.erased.length) this.erase([]); break;
      case "?": this.act("help"); break;
      case "Escape": if (this.$(".menu").hidden && this.$(".help").hidden) { this.choose(null); if (this.erasing) this.toggleErase(); } this.$(".menu").hidden = this.$(".help").hidden = true; break;
      default: done = false;
    }
    if (done) { e.preventDefault(); e.stopPropagation(); }
  }

  // -- detections ----------------------------------------------------------------------------------------------------

  barOf(row, item) {
    const folded = this.prefs.folded[row.track.key], top = row.y + 3;
    return folded ? { y: top, h: FOLDED - 7 } : { y: top + item.lane * (LANE + GAP), h: LANE };
  }

  hit(x, y) {
    const row = this.rowAt(y);
    if (row?.track.kind !== "detections") return null;
    const inner = y - AXIS + this.scroll.scrollTop;
    for (const item of row.track.items) {
      if (item.lane < 0) continue;
      const bar = this.barOf(row, item);
      if (inner >= bar.y - 1 && inner <= bar.y + bar.h + 1 && x >= this.x(item.start) - 2 && x <= Math.max(this.x(item.end), this.x(item.start) + 3) + 2) return { row, item };
    }
    return null;
  }

  choose(id) {
    if (this.chosen === id) return;
    this.chosen = id; this.wake(); this.showInfo();
  }

  showInfo() {
    const hit = this.chosen !== null ? this.found(this.chosen) : null;
    this.info.innerHTML = hit ? this.explain(hit) : this.summary();
  }

  explain({ track, item }) {
    const verdict = { tp: "true positive", fp: "false positive", dropped: "not counted" }[item.verdict] || "no verdict", line = (k, v) => `<tr><th>${k}</th><td class="num">${v}</td></tr>`;
    const go = (t, text, id = "") => `<button class="link" data-t="${t}" ${id ? `data-id="${escaped(id)}"` : ""}>${text}</button>`;
    const span = (s, e) => `${clockText(s, 2)} – ${clockText(e, 2)}`;
    const left = [line("time", `${go(item.start, span(item.start, item.end))} <span class="soft">${(item.end - item.start).toFixed(2)} s</span>`), line("score", number(item.score) + (item.lowered_by ? ` <span class="soft">before suppression</span> ${number(item.raw_score)}` : "")), line("class score", number(item.class_score))];
    if (item.inner !== null) left.push(line("inner area", number(item.inner)), line("outer area", `${number(item.outer)} <span class="soft">${span(item.outer_start, item.outer_end)}</span>`));
    const right = [];
    if (item.source || item.threshold !== null) right.push(line("came from", escaped(item.source || "–") + (item.threshold !== null ? ` <span class="soft">above</span> ${number(item.threshold)}` : "")));
    right.push(line("nearest truth", item.near ? `${go(item.near.start, span(item.near.start, item.near.end))}<br>tIoU <b>${item.near.tiou.toFixed(2)}</b>${item.near.label !== item.label ? ` <span class="soft">(${escaped(item.near.label)})</span>` : item.verdict === "fp" && item.near.tiou >= this.data.tiou ? ` <span class="soft">taken by a better detection</span>` : ""}` : "none shares time"));
    const under = item.verdict === "fp" ? this.liesOn(item) : null;
    if (under) right.push(line("lies on", `${go(under.item.start, escaped(under.item.label))} <span class="soft">${escaped(under.track.title.toLowerCase())}</span>`));
    right.push(line(item.soft ? "lowered" : "suppressed", item.rivals.length ? item.rivals.slice(0, 4).map((r) => `${span(r.start, r.end)} <span class="soft">${number(r.score)}${r.source !== item.source ? ", " + escaped(r.source) : ""}</span>`).join("<br>") + (item.num_rivals > 4 ? `<br><span class="soft">and ${item.num_rivals - 4} more</span>` : "") : "no rivals"));
    if (item.lowered_by) right.push(line("lowered by", `${span(item.lowered_by.start, item.lowered_by.end)} <span class="soft">${number(item.lowered_by.score)}</span>`));
    return `<h4>${track.run ? `<span class="badge">${escaped(track.run)}</span>` : ""}<span class="name">${escaped(item.label)}</span><span class="chip ${item.verdict}">${verdict}</span><span class="soft num">at tIoU ${this.data.tiou}</span></h4><div class="cols"><table>${left.join("")}</table><table>${right.join("")}</table></div>`;
  }

  // What the data set knows of the place, where that is most of the detection: a fake, a context, ...
  liesOn(detection) {
    let best = null, most = (detection.end - detection.start) / 2;
    for (const track of this.data.tracks) {
      if (!track.key.startsWith("truth:") || track.key === "truth:phases") continue;
      for (const item of track.items || []) {
        const shared = Math.min(item.end, detection.end) - Math.max(item.start, detection.start);
        if (shared > most) { most = shared; best = { track, item }; }
      }
    }
    return best;
  }

  summary() {
    const d = this.data, runs = d.tracks.filter((t) => t.kind === "detections"), gt = d.tracks.find((t) => t.key === "gt"), count = gt ? gt.items.filter((i) => i.role === "gt").length : 0;
    const counts = runs.map((t) => {
      return `<tr><th>${t.run ? `<span class="badge">${escaped(t.run)}</span> ` : ""}${escaped(t.title)}</th><td class="num"><span class="chip tp">${t.counts.tp} TP</span> <span class="chip fp">${t.counts.fp} FP</span> <span class="chip fn">${t.misses.length} FN</span></td></tr>`;
    });
    const top = d.scores.map((s) => `<span class="${s.truth ? "is-gt" : ""}">${escaped(s.label)}</span><i style="width:${(100 * s.share).toFixed(1)}%"></i><span class="num">${number(s.score)}</span>`);
    return `<h4><span class="name">${escaped(d.title)}</span><span class="soft num">${clockText(this.end)} · ${d.num_snippets} snippets · ${count} instance${count === 1 ? "" : "s"}</span></h4>
      <div class="cols"><div>${counts.length ? `<table>${counts.join("")}</table><div class="hint" style="padding-top:4px">Verdicts at tIoU ${d.tiou}. Click a detection to see why it is there; press ? for keys.</div>` : `<div class="hint">${d.lead ? "None of the chosen runs can be read." : "Choose a run to see what it says."}</div>`}</div>
      <div>${top.length ? `<div class="hint" style="padding-bottom:3px">Video scores${d.lead ? ` of ${escaped(d.lead)}` : ""}</div><div class="scores">${top.join("")}</div>` : ""}</div></div>`;
  }

  // -- drawing -------------------------------------------------------------------------------------------------------

  draw() {
    const ctx = this.base.getContext("2d"), { w, h, dpr } = this;
    ctx.setTransform(dpr, 0, 0, dpr, 0, 0);
    ctx.clearRect(0, 0, w, h);
    const scrolled = this.scroll.scrollTop, shift = AXIS - scrolled, ticks = this.ticks();
    ctx.save();
    ctx.beginPath(); ctx.rect(0, AXIS, w, h - AXIS); ctx.clip();
    ctx.translate(0, shift);
    ctx.strokeStyle = this.line; ctx.lineWidth = 1; ctx.globalAlpha = 0.6;
    ctx.beginPath();
    for (const [t, text] of ticks) if (text) { const x = Math.round(this.x(t)) + 0.5; ctx.moveTo(x, 0); ctx.lineTo(x, Math.max(this.total, h)); }
    ctx.stroke(); ctx.globalAlpha = 1;
    for (const row of this.visible) {
      if (row.y + row.h < scrolled || row.y > scrolled + h) continue;
      ctx.save();
      ctx.beginPath(); ctx.rect(0, row.y, w, row.h); ctx.clip();
      this[{ offer: "drawNothing", segments: "drawSegments", detections: "drawDetections", lines: "drawLines", area: "drawArea", heat: "drawHeat", mask: "drawMask", boundaries: "drawBoundaries" }[row.track.kind]](ctx, row);
      ctx.restore();
      ctx.fillStyle = this.line; ctx.fillRect(0, row.y + row.h - 1, w, 1);
    }
    ctx.restore();
    this.drawAxis(ctx, ticks);
    this.drawMini();
  }

  ticks() {
    const span = this.view[1] - this.view[0], least = (span / this.w) * 76;
    const step = [0.04, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600].find((s) => s >= least) || 7200;
    const out = [];
    for (let i = Math.ceil(this.view[0] / step - 1e-9); i * step <= this.view[1] + 1e-9; i++) out.push([i * step, clockText(i * step, step < 0.1 ? 2 : step < 1 ? 1 : 0)]);
    return out;
  }

  drawAxis(ctx, ticks) {
    ctx.fillStyle = this.paper; ctx.fillRect(0, 0, this.w, AXIS);
    ctx.fillStyle = this.soft; ctx.strokeStyle = this.line;
    this.font(ctx, "11px"); ctx.textBaseline = "middle";
    for (const [t, text] of ticks) {
      const x = this.x(t), wide = this.width(ctx, text);
      ctx.beginPath(); ctx.moveTo(Math.round(x) + 0.5, AXIS - 5); ctx.lineTo(Math.round(x) + 0.5, AXIS); ctx.stroke();
      if (x + 4 + wide < this.w) ctx.fillText(text, x + 3, 11);
    }
    ctx.fillStyle = this.line; ctx.fillRect(0, AXIS - 1, this.w, 1);
  }

  bar(ctx, x0, x1, y, h, { fill, stroke, dash, alpha = 1, pattern }) {
    const w = Math.max(x1 - x0, 2);
    ctx.globalAlpha = alpha;
    ctx.beginPath(); ctx.roundRect(x0 + (stroke ? 0.5 : 0), y + (stroke ? 0.5 : 0), w - (stroke ? 1 : 0), h - (stroke ? 1 : 0), Math.min(2.5, w / 3));
    if (fill) { ctx.fillStyle = fill; ctx.fill(); }
    if (pattern) { ctx.fillStyle = this.pattern(ctx, pattern); ctx.fill(); }
    if (stroke) { ctx.strokeStyle = stroke; ctx.lineWidth = 1.2; ctx.setLineDash(dash || []); ctx.stroke(); ctx.setLineDash([]); }
    ctx.globalAlpha = 1;
  }

  inBar(ctx, text, x0, x1, y, h, colour) {
    const a = Math.max(x0, 0) + 4, room = Math.min(x1, this.w) - a - 3;
    if (room < 16 || h < 11) return;
    this.font(ctx, "600 10.5px"); ctx.textBaseline = "middle";
    let shown = text;
    if (this.width(ctx, shown) > room) {
      while (shown.length > 1 && this.width(ctx, shown + "…") > room) shown = shown.slice(0, -1);
      if (shown.length < 3) return;
      shown += "…";
    }
    ctx.fillStyle = colour; ctx.fillText(shown, a, y + h / 2 + 0.5);
  }

  drawNothing() {}

  drawSegments(ctx, row) {
    const folded = this.prefs.folded[row.track.key];
    for (const item of row.track.items) {
      if (item.lane < 0) continue;
      const x0 = this.x(item.start), x1 = this.x(item.end);
      if (x1 < 0 || x0 > this.w) continue;
      const { y, h } = folded ? { y: row.y + 3, h: FOLDED - 7 } : { y: row.y + 3 + item.lane * (LANE + GAP), h: LANE };
      const c = this.colour(item.role), faint = row.track.key === "gt" && this.data.label && item.label !== this.data.label;
      if (item.role === "ambiguous") this.bar(ctx, x0, x1, y, h, { stroke: c, dash: [2, 2], pattern: "ambiguous", alpha: 0.7 });
      else if (item.role === "fake") this.bar(ctx, x0, x1, y, h, { stroke: c, dash: [4, 2], fill: c + "33" });
      else this.bar(ctx, x0, x1, y, h, { fill: c, alpha: faint ? 0.4 : item.role === "gt" ? 1 : 0.75 });
      const dark = this.dark ? (["gt", "context"].includes(item.role) ? "#0b1016" : this.ink) : item.role === "gt" && !faint ? "#04120d" : this.ink;
      this.inBar(ctx, tail(item.label), x0, x1, y, h, item.role === "fake" || item.role === "ambiguous" ? this.ink : faint && this.dark ? this.ink : dark);
    }
  }

  drawDetections(ctx, row) {
    const { track } = row, folded = this.prefs.folded[track.key], many = track.labels > 1;
    for (let i = track.items.length - 1; i >= 0; i--) {
      const item = track.items[i];
      if (item.lane < 0) continue;
      const x0 = this.x(item.start), x1 = this.x(item.end);
      if (x1 < 0 || x0 > this.w) continue;
      const { y, h } = this.barOf(row, item), alpha = 0.45 + 0.55 * item.rank;
      if (item.verdict === "tp") {
        this.bar(ctx, x0, x1, y, h, { fill: this.paper });
        this.bar(ctx, x0, x1, y, h, { fill: this.colour("tp"), alpha });
      } else {
        this.bar(ctx, x0, x1, y, h, { fill: this.paper });
        const role = item.verdict === "dropped" ? "ghost" : "fp";
        this.bar(ctx, x0, x1, y, h, { stroke: this.colour(role), dash: [3, 2], pattern: role, alpha });
      }
      if (x1 - x0 > 26) {
        const text = (many ? item.label + " " : "") + item.score.toFixed(2).replace(/^-(0\.00)$/, "$1");
        if (item.verdict === "tp") this.inBar(ctx, text, x0, x1, y, h, this.dark ? (alpha > 0.8 ? "#0b1016" : this.ink) : alpha > 0.7 ? "#fff" : "#0b1016");
        else {
          this.font(ctx, "600 10.5px");
          const a = Math.max(x0, 0) + 3, wide = Math.min(this.width(ctx, text) + 3, Math.min(x1, this.w) - a - 3);
          if (wide > 20) { ctx.fillStyle = this.paper; ctx.globalAlpha = 0.8; ctx.fillRect(a, y + 1.5, wide, h - 3); ctx.globalAlpha = 1; }
          this.inBar(ctx, text, x0, x1, y, h, this.ink);
        }
      }
    }
    if (track.missed && !folded) for (const miss of track.misses) {
      const x0 = this.x(miss.start), x1 = this.x(miss.end);
      if (x1 >= 0 && x0 <= this.w) this.bar(ctx, x0, x1, row.y + row.h - 12, 8, { stroke: this.colour("fn") });
    }
  }

  scaled(row) {
    const { low, high, key } = row.track, folded = this.prefs.folded[key], top = row.y + (folded ? 3 : 5), h = row.h - (folded ? 7 : 10), span = high - low || 1;
    return { top, h, y: (v) => top + h - ((clamp(v, low, high) - low) / span) * h };
  }

  path(ctx, values, grid, y, close = null) {
    // One minimum and one maximum per pixel column where samples are denser than pixels; straight lines between centres where not.
    const n = values.length, per = ((this.view[1] - this.view[0]) / grid.step) / this.w;
    const first = clamp(Math.floor((this.view[0] - grid.t0) / grid.step) - 1, 0, n - 1), last = clamp(Math.ceil((this.view[1] - grid.t0) / grid.step) + 1, 0, n);
    ctx.beginPath();
    if (per <= 1.5) {
      for (let i = first; i < last; i++) { const x = this.x(grid.t0 + (i + 0.5) * grid.step); i === first ? ctx.moveTo(x, y(values[i])) : ctx.lineTo(x, y(values[i])); }
    } else {
      const longest = Math.ceil(per) + 1, highs = extrema(highsOf, values, longest, higher), lows = close === null ? extrema(lowsOf, values, longest, lower) : null;
      let started = false, next = Math.floor((this.at(0) - grid.t0) / grid.step);
      for (let x = 0; x < this.w; x++) {
        const i0 = Math.max(0, next), i1 = Math.min(n, Math.max(i0 + 1, (next = Math.floor((this.at(x + 1) - grid.t0) / grid.step))));
        if (i0 >= n) break;
        const power = powerOf(i1 - i0), j = i1 - (1 << power), hi = higher(highs[power][i0], highs[power][j]);
        if (hi !== hi) continue;
        const lo = close === null ? lower(lows[power][i0], lows[power][j]) : hi;
        started ? ctx.lineTo(x + 0.5, y(close === null ? lo : hi)) : ctx.moveTo(x + 0.5, y(lo));
        if (close === null && hi > lo) ctx.lineTo(x + 0.5, y(hi));
        started = true;
      }
    }
    return [this.x(grid.t0 + (first + 0.5) * grid.step), this.x(grid.t0 + (last - 0.5) * grid.step), per];
  }

  drawLines(ctx, row) {
    const { track } = row, { top, h, y } = this.scaled(row), folded = this.prefs.folded[track.key];
    if (!folded) {
      ctx.strokeStyle = this.line; ctx.lineWidth = 1; ctx.beginPath();
      for (const v of [track.low, track.high]) { const at = Math.round(y(v)) + 0.5; ctx.moveTo(0, at); ctx.lineTo(this.w, at); }
      ctx.stroke();
    }
    for (const limit of track.limits || []) {
      ctx.strokeStyle = this.colour(limit.role); ctx.lineWidth = 1; ctx.setLineDash([2, 3]); ctx.beginPath();
      ctx.moveTo(0, y(limit.value)); ctx.lineTo(this.w, y(limit.value)); ctx.stroke(); ctx.setLineDash([]);
    }
    for (const s of [...track.series].reverse()) {
      const [, , per] = this.path(ctx, s.values, s.grid || track.grid, y);
      ctx.strokeStyle = this.colour(s.role); ctx.lineWidth = s.ghost ? 1 : 1.5; ctx.lineJoin = "round";
      ctx.setLineDash(per < 3 ? s.dash || [] : []); ctx.globalAlpha = s.ghost ? 0.8 : 1;
      ctx.stroke(); ctx.setLineDash([]); ctx.globalAlpha = 1;
    }
    if (!folded) this.scaleText(ctx, track, top, h);
  }

  scaleText(ctx, track, top, h) {
    this.font(ctx, "9.5px"); ctx.textBaseline = "alphabetic"; ctx.textAlign = "right"; ctx.fillStyle = this.soft;
    const range = track.high - track.low;
    for (const [v, at] of [[track.high, top + 8], [track.low, top + h - 1]]) {
      const text = +v.toPrecision(3) + "", wide = this.width(ctx, text);
      ctx.globalAlpha = 0.75; ctx.fillStyle = this.paper; ctx.fillRect(this.w - wide - 5, at - 8, wide + 4, 9.5); ctx.globalAlpha = 1;
      ctx.fillStyle = this.soft; ctx.fillText(text, this.w - 3, at);
    }
    ctx.textAlign = "left";
  }

  drawArea(ctx, row) {
    const { track } = row, { top, h } = this.scaled(row);
    const stacks = kept(stacksOf, track, () => {
      const below = new Float32Array(track.series[0].values.length);
      return track.series.map((s) => { for (let i = 0; i < below.length; i++) below[i] += s.values[i]; return below.slice(); });
    });
    const y = (v) => top + h - clamp(v / (track.high || 1), 0, 1) * h;
    for (let k = stacks.length - 1; k >= 0; k--) {
      const s = track.series[k], [x0, x1] = this.path(ctx, stacks[k], track.grid, y, 0);
      ctx.lineTo(Math.min(x1, this.w + 40), top + h); ctx.lineTo(Math.max(x0, -40), top + h); ctx.closePath();
      ctx.fillStyle = this.paper; ctx.fill();
      ctx.globalAlpha = 0.72; ctx.fillStyle = this.colour(s.role); ctx.fill();
      if (k === 1) { ctx.globalAlpha = 0.5; ctx.fillStyle = this.pattern(ctx, "paper"); }
      ctx.globalAlpha = 1;
    }
  }

  drawHeat(ctx, row) {
    const { track } = row, { grid, cells, names } = track, folded = this.prefs.folded[track.key];
    const rows = folded ? 1 : names.length, n = cells.length / names.length, width = Math.max(1, Math.round(this.w * Math.min(this.dpr, 1.5)));
    const { sheet, image, out } = this.sheet(width, rows), size = width * rows, lut = this.lut;
    const span = this.view[1] - this.view[0], first = folded ? Math.max(track.row, 0) : 0, highs = extrema(highsOf, cells, Math.ceil(span / width / grid.step) + 1, higher);
    for (let x = 0; x < width; x++) {
      const a = (this.view[0] + (x / width) * span - grid.t0) / grid.step, b = (this.view[0] + ((x + 1) / width) * span - grid.t0) / grid.step;
      const from = Math.floor(a + 1e-6), i = Math.max(from, 0), end = Math.min(Math.max(from + 1, Math.floor(b + 1e-6)), n);
      if (i >= end) { for (let to = x; to < size; to += width) out[to] = 0; continue; }
      const power = powerOf(end - i), high = highs[power], j = end - (1 << power);
      for (let to = x, at = first * n; to < size; to += width, at += n) { const u = high[at + i], v = high[at + j]; out[to] = lut[u > v ? u : v]; }
    }
    sheet.getContext("2d").putImageData(image, 0, 0);
    const top = row.y + 2, h = row.h - 4;
    ctx.imageSmoothingEnabled = false; ctx.drawImage(sheet, 0, 0, width, rows, 0, top, this.w, h);
    if (!folded && track.row >= 0) {
      const one = h / rows;
      ctx.fillStyle = this.colour("gt"); ctx.fillRect(0, top + track.row * one, 3, one);
      const from = Math.max(-2, this.x(grid.t0)), to = Math.min(this.w + 2, this.x(grid.t0 + n * grid.step));
      ctx.strokeStyle = this.colour("gt"); ctx.lineWidth = 0.75; ctx.globalAlpha = 0.7; ctx.strokeRect(from, top + track.row * one, to - from, one); ctx.globalAlpha = 1;
    }
  }

  sheet(width, rows) {
    // What a heat map is put together in before it is stretched over its row: one for each size.
    const key = `${width} ${rows}`;
    if (!this.sheets.has(key)) {
      if (this.sheets.size > 8) this.sheets.clear();
      const sheet = document.createElement("canvas"), image = new ImageData(width, rows);
      sheet.width = width; sheet.height = rows;
      this.sheets.set(key, { sheet, image, out: new Uint32Array(image.data.buffer) });
    }
    return this.sheets.get(key);
  }

  drawMask(ctx, row) {
    for (const [a, b] of row.track.spans) {
      const x0 = this.x(a), x1 = this.x(b);
      if (x1 >= 0 && x0 <= this.w) this.bar(ctx, x0, x1, row.y + 4, row.h - 9, { fill: this.colour(row.track.role), alpha: 0.85 });
    }
  }

  drawBoundaries(ctx, row) {
    const folded = this.prefs.folded[row.track.key];
    for (const item of row.track.items) {
      if (item.lane < 0) continue;
      const y = row.y + 3 + (folded ? 0 : item.lane * (LANE + GAP)), h = folded ? FOLDED - 7 : LANE;
      const x0 = this.x(item.start), x1 = this.x(item.end);
      if (x1 < 0 || x0 > this.w) continue;
      this.bar(ctx, x0, x1, y + h / 2 - 1, 5, { fill: this.colour(STREAMS[item.stream] || STREAMS.RGB) });
      ctx.strokeStyle = this.soft; ctx.lineWidth = 1; ctx.setLineDash([2, 2]);
      for (const raw of [item.raw_start, item.raw_end]) { const x = Math.round(this.x(raw)) + 0.5; ctx.beginPath(); ctx.moveTo(x, y + 1); ctx.lineTo(x, y + h); ctx.stroke(); }
      ctx.setLineDash([]);
      if (x1 - x0 > 64 && !folded) { this.font(ctx, "9.5px"); ctx.fillStyle = this.ink; ctx.textBaseline = "alphabetic"; ctx.fillText(`OIC ${number(item.oic)}  Lc ${number(item.coherence)}`, Math.max(x0, 0) + 3, y + 6); }
    }
  }

  drawMini() {
    const { miniW: w, miniH: h } = this, x = (t) => (t / this.end) * w, base = (this.miniBase ||= document.createElement("canvas"));
    this.strips ||= this.drawStrips(x);
    base.width = this.mini.width; base.height = this.mini.height;
    const ctx = base.getContext("2d");
    ctx.drawImage(this.strips, 0, 0); ctx.setTransform(this.dpr, 0, 0, this.dpr, 0, 0);
    const [a, b] = this.view.map(x);
    if (b - a < w - 1) {
      ctx.fillStyle = this.paper; ctx.globalAlpha = 0.66; ctx.fillRect(0, 0, a, h); ctx.fillRect(b, 0, w - b, h); ctx.globalAlpha = 1;
      ctx.strokeStyle = this.soft; ctx.lineWidth = 1; ctx.strokeRect(a + 0.5, 0.5, b - a - 1, h - 1);
    }
  }

  drawStrips(x) {
    // Ground truth and the first run's detections of the whole video: the same whatever part is in view.
    const sheet = document.createElement("canvas"), ctx = ((sheet.width = this.mini.width), (sheet.height = this.mini.height), sheet.getContext("2d"));
    ctx.setTransform(this.dpr, 0, 0, this.dpr, 0, 0);
    const gt = this.data.tracks.find((t) => t.key === "gt"), lead = this.data.tracks.find((t) => t.kind === "detections");
    const strip = (items, y, colour) => {
      ctx.fillStyle = colour;
      for (const i of items) { ctx.globalAlpha = i.rank === undefined ? 1 : 0.25 + 0.75 * i.rank; ctx.fillRect(x(i.start), y, Math.max(1.5, x(i.end) - x(i.start)), 7); }
      ctx.globalAlpha = 1;
    };
    if (gt) strip(gt.items.filter((i) => i.role === "gt"), 4, this.colour("gt"));
    if (lead) { strip(lead.items.filter((i) => i.verdict !== "tp" && i.lane >= 0 && i.lane < 2), 14, this.colour("fp")); strip(lead.items.filter((i) => i.verdict === "tp"), 14, this.colour("tp")); }
    return sheet;
  }

  valueAt(s, track, t) {
    const grid = s.grid || track.grid, i = Math.floor((t - grid.t0) / grid.step + 1e-6);
    return i >= 0 && i < s.values.length ? s.values[i] : NaN;
  }

  drawOver() {
    const ctx = this.over.getContext("2d"), { w, h, dpr } = this, shift = AXIS - this.scroll.scrollTop;
    ctx.setTransform(dpr, 0, 0, dpr, 0, 0);
    ctx.clearRect(0, 0, w, h);
    const band = (a, b, style, top = AXIS) => { const x0 = clamp(this.x(a), -2, w), x1 = clamp(this.x(b), 0, w + 2); if (x1 > x0) { ctx.fillStyle = style; ctx.fillRect(x0, top, x1 - x0, h - top); } };
    for (const [a, b] of this.erased) { band(a, b, this.pattern(ctx, "ghost")); band(a, b, this.paper + "88"); }
    if (this.grab?.mode === "erase" && this.grab.to !== undefined) band(Math.min(this.grab.t, this.grab.to), Math.max(this.grab.t, this.grab.to), this.colour("fp") + "44");
    if (this.grab?.mode === "range" && this.grab.to !== undefined) band(Math.min(this.grab.t, this.grab.to), Math.max(this.grab.t, this.grab.to), this.colour("tp") + "33", 0);
    const hit = this.chosen !== null ? this.found(this.chosen) : null;
    if (hit) this.drawChosen(ctx, hit, band, shift);
    const reading = this.hover && !this.playing ? this.at(this.hover.x) : this.t;
    if (this.hover && !this.grab) { ctx.fillStyle = this.soft; ctx.globalAlpha = 0.6; ctx.fillRect(Math.round(this.hover.x), AXIS, 1, h - AXIS); ctx.globalAlpha = 1; }
    const x = this.x(this.t);
    if (x >= -6 && x <= w + 6) {
      const c = this.dark ? "#ffffff" : "#c2185b";
      ctx.fillStyle = c; ctx.fillRect(Math.round(x) - 0.75, AXIS - 8, 1.5, h);
      ctx.beginPath(); ctx.moveTo(x - 5, AXIS - 9); ctx.lineTo(x + 5, AXIS - 9); ctx.lineTo(x, AXIS - 2); ctx.closePath(); ctx.fill();
    }
    if (this.hover && !this.playing) {
      const text = clockText(reading, 2);
      this.font(ctx, "600 11px"); const wide = this.width(ctx, text) + 10, left = clamp(this.hover.x - wide / 2, 0, w - wide);
      ctx.fillStyle = this.ink; ctx.beginPath(); ctx.roundRect(left, 3, wide, 17, 4); ctx.fill();
      ctx.fillStyle = this.paper; ctx.textBaseline = "middle"; ctx.fillText(text, left + 5, 12);
    }
    // Labels follow playback ten times a second: quicker than a person reads, without laying out every frame.
    const now = performance.now();
    if (!this.playing || now - (this.readAt ?? 0) > 95) { this.read(reading); this.readAt = now; }
    if (!this.playing) this.over.style.cursor = this.erasing ? "cell" : this.hover && this.hover.y < AXIS ? "grab" : this.hover && this.hit(this.hover.x, this.hover.y) ? "pointer" : "crosshair";
    const mini = this.mini.getContext("2d");
    if (this.miniBase) {
      mini.setTransform(1, 0, 0, 1, 0, 0); mini.clearRect(0, 0, this.mini.width, this.mini.height); mini.drawImage(this.miniBase, 0, 0);
      mini.setTransform(dpr, 0, 0, dpr, 0, 0); mini.fillStyle = this.dark ? "#ffffff" : "#c2185b"; mini.fillRect((this.t / this.end) * this.miniW - 0.75, 0, 1.5, this.miniH);
    }
    const clock = `${clockText(this.t, 2)} / ${clockText(this.end)}`;
    if (clock !== this.clock) { this.$(".clock").textContent = this.clock = clock; const big = this.$(".novideo b"); if (big) big.textContent = clockText(this.t, 2); }
  }

  drawChosen(ctx, { item, track }, band, shift) {
    if (item.outer_start < item.start) band(item.outer_start, item.start, this.colour("context") + "22");
    if (item.outer_end > item.end) band(item.end, item.outer_end, this.colour("context") + "22");
    band(item.start, item.end, this.colour("tp") + "1c");
    ctx.save(); ctx.beginPath(); ctx.rect(0, AXIS, this.w, this.h - AXIS); ctx.clip();
    const row = this.visible.find((r) => r.track.key === track.key);
    if (row) {
      const { y, h } = this.barOf(row, item);
      ctx.strokeStyle = this.ink; ctx.lineWidth = 2; ctx.beginPath();
      ctx.roundRect(this.x(item.start) - 1.5, y + shift - 1.5, Math.max(2, this.x(item.end) - this.x(item.start)) + 3, h + 3, 4); ctx.stroke();
      item.rivals.slice(0, 8).forEach((r, k) => { ctx.fillStyle = this.soft; ctx.globalAlpha = 0.75; ctx.fillRect(this.x(r.start), y + h + shift + 3 + k * 3, this.x(r.end) - this.x(r.start), 2); ctx.globalAlpha = 1; });
    }
    if (item.threshold !== null) for (const r of this.visible) {
      if (r.track.run !== track.run || !r.track.sources?.includes(item.source) || this.prefs.folded[r.track.key]) continue;
      const at = this.scaled(r).y(item.threshold) + shift;
      ctx.strokeStyle = this.colour("fp"); ctx.lineWidth = 1.2; ctx.setLineDash([5, 3]); ctx.beginPath(); ctx.moveTo(0, at); ctx.lineTo(this.w, at); ctx.stroke(); ctx.setLineDash([]);
    }
    ctx.restore();
  }

  read(t) {
    // Every value at the pointer, or at the playhead where there is no pointer, in the labels: never on top of the data.
    const under = this.hover && !this.playing ? this.rowAt(this.hover.y) : null, scrolled = this.scroll.scrollTop;
    for (const row of this.visible) {
      const { track } = row;
      if (row.y + row.h < scrolled || row.y > scrolled + this.h) continue;
      let text = "";
      if (track.series) {
        track.series.forEach((s, k) => { const v = number(this.valueAt(s, track, t), track.high - track.low); if (row.values[k].textContent !== v) row.values[k].textContent = v; });
        if (this.prefs.folded[track.key]) text = number(this.valueAt(track.series[0], track, t), track.high - track.low);
      } else if (track.kind === "heat") {
        const n = track.cells.length / track.names.length, i = Math.floor((t - track.grid.t0) / track.grid.step + 1e-6);
        if (i >= 0 && i < n) {
          let c = under === row ? this.heatRow(row, this.hover.y) : 0;
          if (under !== row) for (let k = 1; k < track.names.length; k++) if (track.cells[k * n + i] > track.cells[c * n + i]) c = k;
          text = number(track.low + (track.cells[c * n + i] / 255) * (track.high - track.low), 1);
          if (row.name && row.name.textContent !== track.names[c]) row.name.textContent = track.names[c];
        }
      } else if (track.kind === "mask") text = track.spans.some(([a, b]) => a <= t && t < b) ? "yes" : "no";
      else if (track.kind === "offer") continue;
      else {
        const here = track.items.filter((i) => i.start <= t && t < i.end);
        if (here.length) text = { detections: () => number(here[0].score), boundaries: () => `OIC ${number(here[0].oic)}`, segments: () => tail(here[0].label) }[track.kind]() + (here.length > 1 ? ` +${here.length - 1}` : "");
      }
      if (row.value.textContent !== text) row.value.textContent = text;
    }
    const corner = this.hover && !this.playing ? `at ${clockText(t, 2)}` : "at the playhead";
    const el = this.$(".corner");
    if (el.textContent !== corner) el.textContent = corner;
  }
}
