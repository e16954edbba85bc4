// A playing video and stacked tracks on one time axis. Streamlit calls the default function on every rerun; one
// Timeline lives as long as its element does. The playhead never asks Python: only pauses, seeks, zooms and brush
// strokes are reported.

import { clamp } from "./axis.js";
import { draw } from "./draw.js";
import { hookOf } from "./hook.js";
import { actionOf, KEYS } from "./keys.js";
import { Labels } from "./labels.js";
import { Look } from "./look.js";
import { Menu } from "./menu.js";
import { Model, RULER } from "./model.js";
import { nextOf } from "./moments.js";
import { drawOverlay } from "./overlay.js";
import { Overview } from "./overview.js";
import { explanation, summary } from "./panel.js";
import { decode } from "./payload.js";
import { Player } from "./player.js";
import { Pointer } from "./pointer.js";
import { loadPrefs, savePrefs } from "./prefs.js";
import { Stage } from "./stage.js";
import { escaped } from "./text.js";

/**
 * @typedef {(element: EventTarget, kinds: string, f: (event: Event) => void, options?: object) => void} On adds a
 *   listener for kinds of events, named with spaces between; it goes with the timeline
 */

const REPORT_DELAY = 350, STEP_DELAY = 220, LATE = 8000, NOTICE = 4000; // milliseconds
const READ_EVERY = 95; // milliseconds in which labels follow playback: quicker than a person reads
const DRAWS = 400; // times of drawing that are kept for `wtal bench app`

const instances = new WeakMap();

/** Show a payload in an element; what Streamlit calls. Returns what takes the timeline away. */
export default function ({ data, parentElement, setStateValue, setTriggerValue }) {
  let timeline = instances.get(parentElement);
  if (!timeline) instances.set(parentElement, (timeline = new Timeline(parentElement.querySelector(".root"))));
  timeline.setState = setStateValue;
  timeline.setTrigger = setTriggerValue;
  timeline.update(data);
  return () => { timeline.destroy(); instances.delete(parentElement); };
}

export class Timeline {
  /** @param {HTMLElement} root of timeline.html */
  constructor(root) {
    this.root = root;
    this.$ = (selector) => root.querySelector(selector);
    this.base = this.$("canvas.base"); this.over = this.$("canvas.over"); this.scroll = this.$(".scroll");
    this.help = this.$(".help");
    this.rev = null; // of the payload that is shown
    this.raf = this.frames = 0; // the frame that is asked for; how many there were
    this.dirty = false; // the still picture has changed
    this.draws = []; // milliseconds
    this.readAt = 0; // milliseconds
    this.abort = new AbortController();
    this.model = new Model(loadPrefs());
    this.look = new Look(root);
    this.listen((element, kinds, f, options) => {
      for (const kind of kinds.split(" ")) element.addEventListener(kind, f, { signal: this.abort.signal, ...options });
    });
    this.sizes = new ResizeObserver(() => this.layout());
    this.sizes.observe(root);
    this.help.innerHTML =
      KEYS.map(({ show, help }) => `<div><kbd>${escaped(show)}</kbd><span>${escaped(help)}</span></div>`).join("");
  }

  destroy() {
    cancelAnimationFrame(this.raf);
    for (const timer of [this.reporting, this.late, this.stepping]) clearTimeout(timer);
    this.abort.abort(); this.sizes.disconnect(); this.player.destroy();
  }

  /** Make the parts, and listen to what happens. @param {On} on */
  listen(on) {
    const { model } = this;
    this.labels = new Labels(this.$(".rows"), this.$(".corner"), {
      onToggle: (choice, key) => { model.prefs[choice][key] = !model.prefs[choice][key]; this.arranged(); },
      onOffer: (key) => this.tell("ask", { what: key }),
      onDrop: (key, before) => { model.reorder(key, before); this.arranged(); },
    }, on);
    this.menu = new Menu(this.$(".menu"), model, () => this.arranged(), on);
    this.stage = new Stage(this.$(".novideo"), this.$(".clock"), () => this.tell("ask", { what: "copy" }), on);
    this.overview = new Overview(this.$(".overview"), (part) => this.centre(part * model.end), on);
    this.player = new Player(this.$("video"), model, {
      onPlay: () => { this.showPlaying(); this.wake(); },
      onPause: (was) => { this.showPlaying(); if (was) { this.say(); this.report(); } },
      onFrame: () => this.wake(),
      onBroken: () => {
        this.stage.say("The browser cannot play this video; the timeline works without it.", "Make a browser copy");
        this.wake();
      },
    }, on);
    this.pointer = new Pointer(this.over, this, on);
    on(window, "wtal-arrays", () => { if (this.waiting) this.update(this.waiting); });
    on(this.root, "keydown", (e) => this.key(e));
    // Keys work wherever nothing else listens to them.
    const idle = "html, body, .stApp, .stMain, .stMainBlockContainer";
    on(document, "keydown", (e) => { if (!e.defaultPrevented && e.target.matches?.(idle)) this.key(e); });
    on(this.$(".bar"), "click", (e) => { const b = e.target.closest("button"); if (b) this.press(b.dataset.do); });
    on(this.scroll, "scroll", () => this.wake(true));
    on(this.player.video, "click", () => this.toggle());
    on(this.$(".info"), "click", (e) => { const b = e.target.closest("[data-t]"); if (b) this.seek(+b.dataset.t); });
    on(document, "pointerdown", (e) => {
      const path = e.composedPath();
      if (!path.includes(this.$(".body")) && !path.includes(this.$(".bar"))) this.close();
    });
  }

  // -- data -----------------------------------------------------------------------------------------------------------

  /** Show a payload. One whose arrays have not arrived waits for them. @param {Uint8Array} bytes */
  update(bytes) {
    const repaint = this.look.refresh(), { model } = this;
    let data;
    try { data = decode(bytes, window.__wtalArrays); } catch (error) {
      this.complain(`The timeline cannot be shown: ${error.message}.`);
      return;
    }
    clearTimeout(this.late);
    this.waiting = data ? null : bytes;
    if (!data) {
      this.late = setTimeout(() => this.complain("The curves have not arrived. Reload the page."), LATE);
      return;
    }
    if (data.rev === this.rev) { if (repaint) this.layout(); return; }
    this.complain("");
    this.rev = data.rev;
    this.look.palettes = data.palette;
    const moved = model.load(data), { url, problem, offer } = data.video;
    this.root.classList.toggle("timeline-only", !url);
    if (this.player.url !== url || !this.player.broken) this.stage.say(url ? "" : problem, offer);
    this.player.load(url);
    if (moved) {
      this.pause();
      this.seek(data.start.t ?? 0, { quiet: true, follow: data.start.t !== null });
    }
    this.layout(); this.showInfo();
    if (data.hook) window.__wtal = hookOf(this);
    this.root.dataset.ready = "1"; this.root.dataset.rev = data.rev;
  }

  /** Tell Python of something that happens once: "erase", "label" or "ask". */
  tell(trigger, what) { this.setTrigger?.(trigger, { ...what, subject: this.model.data.subject }); }

  /** Report playhead and view once they rest. */
  report() {
    if (!this.model.data) return;
    clearTimeout(this.reporting);
    this.reporting = setTimeout(() => {
      const moment = this.model.moment(), text = JSON.stringify(moment);
      if (text !== this.reported && !this.model.playing) { this.reported = text; this.setState?.("moment", moment); }
    }, REPORT_DELAY);
  }

  /** Go to another video; keys that follow each other quickly are one step over several. */
  step(by) {
    this.steps = (this.steps || 0) + by;
    clearTimeout(this.stepping);
    this.stepping = setTimeout(() => {
      if (this.steps) this.tell("ask", { what: "step", by: this.steps });
      this.steps = 0;
    }, STEP_DELAY);
  }

  // -- time -----------------------------------------------------------------------------------------------------------

  /** Go to second `t`, brought into view where `follow`, reported unless `quiet`. */
  seek(t, { quiet = false, follow = true } = {}) {
    const { model } = this, { axis } = model, [a, b] = axis.view;
    this.player.seek(t);
    if (follow && (model.t < a || model.t > b)) this.setView(model.t - axis.span * 0.15, model.t + axis.span * 0.85);
    this.wake(); this.say();
    if (!quiet) this.report();
  }

  /** Pause, and go to second `t`. */
  walk(t) { if (this.model.playing) this.pause(); this.seek(t); }

  /** Go to second `t`, in the middle of the part in view. */
  centre(t) {
    const { axis } = this.model;
    if (axis.span < axis.end - 1e-3) this.setView(t - axis.span / 2, t + axis.span / 2);
    this.seek(t, { follow: false });
  }

  setView(a, b, report = true) {
    this.model.axis.show(a, b);
    this.wake(true);
    if (report) this.report();
  }

  fit() { this.setView(0, this.model.end); }
  pan(by) { const [a, b] = this.model.axis.view; this.setView(a + by, b + by); }
  zoom(factor, around = this.model.t) { this.setView(...this.model.axis.zoomed(factor, around)); }

  play(direction = 1, rate = 1) {
    if (direction > 0 && this.model.t >= this.model.end - 0.05) this.seek(0, { quiet: true });
    this.player.play(direction, rate);
  }

  pause() { this.player.pause(); }
  toggle() { if (this.model.playing) this.pause(); else this.play(); }

  /** Go to the next (`by` 1) or previous (-1) of the model's "truths" or "detections". */
  jump(what, by) {
    const next = nextOf(this.model.moments[what], this.model.t, by);
    if (next !== undefined) this.seek(next);
  }

  /** Go to the next or previous failure and choose it; after the last one comes the first. */
  jumpFailure(by) {
    const { failures } = this.model.moments;
    const next = nextOf(failures, this.model.t, by, (f) => f.start) || failures.at(by > 0 ? 0 : -1);
    if (next) { this.seek(next.start); this.choose(next.id ?? null); }
  }

  // -- frames ---------------------------------------------------------------------------------------------------------

  /** Ask for a frame, with a new still picture where `all`: a paused timeline that nobody touches costs nothing. */
  wake(all = false) {
    this.dirty ||= all;
    this.raf ||= requestAnimationFrame(() => { this.raf = 0; this.frame(); });
  }

  frame() {
    const { model, look } = this;
    if (!model.data) return;
    this.frames += 1;
    model.scrolled = this.scroll.scrollTop;
    if (model.playing) { this.player.advance(); this.follow(); }
    if (this.dirty) {
      const began = performance.now();
      this.dirty = false;
      draw(this.base.getContext("2d"), model, look);
      this.overview.draw(model, look);
      this.draws.push(performance.now() - began);
      if (this.draws.length > DRAWS) this.draws.shift();
    }
    drawOverlay(this.over.getContext("2d"), model, look);
    this.overview.drawPlayhead(model, look);
    this.showReading();
    if (model.playing) this.wake();
  }

  /** Turn the page where playback leaves the part in view. */
  follow() {
    const { model } = this, { axis, t } = model, [a, b] = axis.view, lead = model.direction > 0 ? 0.05 : 0.95;
    if (!model.playing || model.grab || (t >= a && t <= b)) return;
    this.setView(t - lead * axis.span, t + (1 - lead) * axis.span, false);
  }

  /** Take sizes from the page, and lay out and draw everything anew. */
  layout() {
    const { model, look, root } = this, body = this.$(".body"), width = body.clientWidth, height = body.clientHeight;
    if (!model.data || !width) return;
    const magnified = body.getBoundingClientRect().width / body.offsetWidth || 1;
    look.dpr = (window.devicePixelRatio || 1) * magnified;
    const gutter = Math.round(clamp(width * 0.19, 170, 250));
    root.style.setProperty("--gutter", gutter + "px");
    for (const role of ["gt", "tp", "fp", "fn"]) root.style.setProperty("--" + role, look.colour(role));
    root.style.setProperty("--on-tp", look.dark ? "#0b1016" : "#fff");
    model.arrange();
    this.labels.show(model, look);
    model.axis.w = Math.max(50, (this.labels.rows.clientWidth || width) - gutter); model.h = height;
    for (const canvas of [this.base, this.over]) {
      const [w, h] = [model.axis.w, height].map((length) => Math.round(length * look.dpr));
      if (canvas.width === w && canvas.height === h) continue;
      canvas.width = w; canvas.height = h;
      canvas.style.width = model.axis.w + "px"; canvas.style.height = height + "px";
    }
    this.overview.resize(model, look);
    this.wake(true);
  }

  /** Keep which rows a person chose to see, and show them. */
  arranged() { savePrefs(this.model.prefs); this.layout(); }

  // -- what the page says ---------------------------------------------------------------------------------------------

  complain(text) { const p = this.$(".problem"); p.hidden = !text; p.textContent = text; }
  say() { if (this.model.data) this.overview.say(this.model); }

  showPlaying() {
    const { playing, direction, rate } = this.model;
    this.root.classList.toggle("playing", playing);
    this.$(".rate").textContent = direction < 0 ? `−${rate}×` : rate === 1 ? "" : `${rate}×`;
  }

  /** Write the values at the reading and the clock; set the cursor. */
  showReading() {
    const { model } = this, { hover, playing } = model, now = performance.now();
    if (!playing || now - this.readAt > READ_EVERY) { this.labels.read(model); this.readAt = now; }
    if (!playing) {
      const shape = () => (hover.y < RULER ? "grab" : model.hit(hover.x, hover.y) ? "pointer" : "crosshair");
      this.over.style.cursor = model.erasing ? "cell" : hover ? shape() : "crosshair";
    }
    this.stage.show(model.t, model.end);
  }

  showInfo() {
    const found = this.model.found(), { data } = this.model;
    this.$(".info").innerHTML = found ? explanation(found, data) : summary(data);
  }

  // -- what a person does ---------------------------------------------------------------------------------------------

  focus() { this.root.focus({ preventScroll: true }); }

  key(e) {
    const pressed = (e.key === " " || e.key === "Enter") && e.target.closest("button, input, summary");
    const action = pressed || !this.model.data ? null : actionOf(e);
    if (!action) return;
    action(this);
    e.preventDefault(); e.stopPropagation();
  }

  /** Do what a button of the bar says. */
  press(name) {
    const actions = {
      menu: () => { this.menu.toggle(); if (this.menu.open) this.help.hidden = true; },
      help: () => this.toggleHelp(), fit: () => this.fit(), play: () => this.toggle(), erase: () => this.toggleErase(),
      nextgt: () => this.jump("truths", 1), prevgt: () => this.jump("truths", -1),
    };
    if (this.model.data) actions[name]?.();
  }

  /** Choose a detection by its id; null for none. */
  choose(id) {
    if (this.model.chosen === id) return;
    this.model.chosen = id;
    this.wake(); this.showInfo();
  }

  toggleErase() {
    const { model } = this;
    if (!model.data.erasable) {
      this.complain("Erasing needs the run's checkpoint and the features of this video.");
      setTimeout(() => this.complain(""), NOTICE);
      return;
    }
    model.erasing = !model.erasing;
    this.root.classList.toggle("erasing", model.erasing);
    this.$("[data-do=erase]").setAttribute("aria-pressed", model.erasing);
    this.wake();
  }

  /** Erase spans of seconds, in place of those before. */
  erase(spans) {
    this.model.erased = spans;
    this.wake();
    this.tell("erase", { spans });
  }

  /** Bring all erased snippets back. */
  restore() { if (this.model.erased.length) this.erase([]); }

  toggleHelp() { this.help.hidden = !this.help.hidden; }
  close() { this.menu.close(); this.help.hidden = true; }

  /** Close what is open; where nothing is, let go of what is chosen. */
  escape() {
    if (!this.menu.open && this.help.hidden) { this.choose(null); if (this.model.erasing) this.toggleErase(); }
    this.close();
  }
}
