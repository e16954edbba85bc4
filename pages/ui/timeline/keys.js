// The keyboard: what a key does, and the help that says so. One table is both.

const frames = (by) => (timeline) => timeline.walk(timeline.model.frameBy(by));
const snippets = (by) => (timeline) => timeline.walk(timeline.model.t + by * (timeline.model.data.step || 1));
const seconds = (by) => (timeline) => timeline.walk(timeline.model.t + by);
const jump = (what, by) => (timeline) => timeline.jump(what, by);
const failure = (by) => (timeline) => timeline.jumpFailure(by);
const video = (by) => (timeline) => timeline.step(by);
const zoom = (factor) => (timeline) => timeline.zoom(factor);
const scroll = (by) => (timeline) => (timeline.scroll.scrollTop += by);
const pause = (timeline) => timeline.pause();

// Again: twice as fast, up to eight times.
const play = (direction) => (timeline) => {
  const { model } = timeline;
  timeline.play(direction, model.direction === direction ? Math.min(8, model.rate * 2) : 1);
};

/**
 * What help shows; `keys` is what each key does with the timeline, none where a pointer does it. The names are those of
 * `KeyboardEvent.key`; of arrows to the sides, "Alt+" or "Shift+" goes in front.
 *
 * @type {{show: string, help: string, keys?: Object<string, (timeline: import("./component.js").Timeline) => void>}[]}
 */
export const KEYS = [
  { show: "Space", help: "play / pause", keys: { " ": (timeline) => timeline.toggle() } },
  { show: "J  K  L", help: "backward, pause, forward (again: faster)",
    keys: { j: play(-1), J: play(-1), k: pause, K: pause, l: play(1), L: play(1) } },
  { show: "← →", help: "frame", keys: { ArrowLeft: frames(-1), ArrowRight: frames(1) } },
  { show: "Shift ← →", help: "snippet", keys: { "Shift+ArrowLeft": snippets(-1), "Shift+ArrowRight": snippets(1) } },
  { show: "Alt ← →", help: "second", keys: { "Alt+ArrowLeft": seconds(-1), "Alt+ArrowRight": seconds(1) } },
  { show: "[  ]", help: "previous / next ground truth", keys: { "[": jump("truths", -1), "]": jump("truths", 1) } },
  { show: "{  }", help: "previous / next detection",
    keys: { "{": jump("detections", -1), "}": jump("detections", 1) } },
  { show: "f  F", help: "next / previous failure", keys: { f: failure(1), F: failure(-1) } },
  { show: "n  N", help: "next / previous video", keys: { n: video(1), N: video(-1) } },
  { show: "+  −  0", help: "zoom in, out, whole video",
    keys: { "+": zoom(1 / 1.5), "=": zoom(1 / 1.5), "-": zoom(1.5), "_": zoom(1.5), 0: (timeline) => timeline.fit() } },
  { show: "Home  End", help: "start, end",
    keys: { Home: (timeline) => timeline.seek(0), End: (timeline) => timeline.seek(timeline.model.end) } },
  { show: "↑ ↓", help: "scroll tracks", keys: { ArrowUp: scroll(-60), ArrowDown: scroll(60) } },
  { show: "e", help: "erase brush on / off", keys: { e: (timeline) => timeline.toggleErase() } },
  { show: "Backspace", help: "bring erased snippets back", keys: { Backspace: (timeline) => timeline.restore() } },
  { show: "Esc", help: "close, deselect", keys: { Escape: (timeline) => timeline.escape() } },
  { show: "?", help: "this help", keys: { "?": (timeline) => timeline.toggleHelp() } },
  { show: "click, drag", help: "seek" },
  { show: "wheel", help: "zoom at the pointer" },
  { show: "Shift wheel", help: "pan; also drag the ruler, or Shift drag" },
  { show: "Alt drag", help: "zoom into a range" },
  { show: "double click", help: "on a heat map: pick the class" },
];

const ACTIONS = new Map(KEYS.flatMap(({ keys }) => Object.entries(keys || {})));

/** Return what a pressed key does; undefined where it does nothing here. */
export function actionOf({ key, altKey, shiftKey, ctrlKey, metaKey }) {
  if (ctrlKey || metaKey) return undefined;
  const sideways = key === "ArrowLeft" || key === "ArrowRight";
  return ACTIONS.get((!sideways ? "" : altKey ? "Alt+" : shiftKey ? "Shift+" : "") + key);
}
