// The panel beside the video: why the chosen detection is there, else a summary of the video. Pure: returns HTML.

import { badge } from "./labels.js";
import { liesOn } from "./moments.js";
import { clockText, escaped, number } from "./text.js";

const VERDICTS = { tp: "true positive", fp: "false positive", dropped: "not counted" };
const RIVALS = 4; // that are named

const soft = (html) => `<span class="soft">${html}</span>`;
const span = (start, end) => `${clockText(start, 2)} – ${clockText(end, 2)}`;
const line = (name, html) => `<tr><th>${name}</th><td class="num">${html}</td></tr>`;
const link = (t, html) => `<button class="link" data-t="${t}">${html}</button>`;

/**
 * Explain a detection.
 *
 * @param {{track: import("./payload.js").Track, item: import("./payload.js").Item}} found
 * @param {import("./payload.js").Payload} data
 */
export function explanation({ track, item }, data) {
  const name = `<span class="name">${escaped(item.label)}</span>`;
  const verdict = `<span class="chip ${item.verdict}">${VERDICTS[item.verdict] || "no verdict"}</span>`;
  return `<h4>${badge(track.run)}${name}${verdict}<span class="soft num">at tIoU ${data.tiou}</span></h4>` +
    `<div class="cols"><table>${scoreLines(item)}</table><table>${originLines(item, data)}</table></div>`;
}

function scoreLines(item) {
  const before = item.lowered_by ? ` ${soft("before suppression")} ${number(item.raw_score)}` : "";
  const lines = [
    line("time", `${link(item.start, span(item.start, item.end))} ${soft((item.end - item.start).toFixed(2) + " s")}`),
    line("score", number(item.score) + before),
    line("class score", number(item.class_score)),
  ];
  if (item.inner !== null) {
    lines.push(line("inner area", number(item.inner)));
    lines.push(line("outer area", `${number(item.outer)} ${soft(span(item.outer_start, item.outer_end))}`));
  }
  return lines.join("");
}

function originLines(item, data) {
  const lines = [], under = item.verdict === "fp" ? liesOn(item, data.tracks) : null;
  if (item.source || item.threshold !== null) {
    const above = item.threshold !== null ? ` ${soft("above")} ${number(item.threshold)}` : "";
    lines.push(line("came from", escaped(item.source || "–") + above));
  }
  lines.push(line("nearest truth", item.near ? nearest(item, data.tiou) : "none shares time"));
  if (under) {
    const on = link(under.item.start, escaped(under.item.label));
    lines.push(line("lies on", `${on} ${soft(escaped(under.track.title.toLowerCase()))}`));
  }
  lines.push(line(item.soft ? "lowered" : "suppressed", item.rivals.length ? rivals(item) : "no rivals"));
  if (item.lowered_by) {
    const { start, end, score } = item.lowered_by;
    lines.push(line("lowered by", `${span(start, end)} ${soft(number(score))}`));
  }
  return lines.join("");
}

function nearest({ near, label, verdict }, tiou) {
  let why = "";
  if (near.label !== label) why = ` ${soft(`(${escaped(near.label)})`)}`;
  else if (verdict === "fp" && near.tiou >= tiou) why = ` ${soft("taken by a better detection")}`;
  return `${link(near.start, span(near.start, near.end))}<br>tIoU <b>${near.tiou.toFixed(2)}</b>${why}`;
}

function rivals(item) {
  const one = (r) => {
    const source = r.source !== item.source ? ", " + escaped(r.source) : "";
    return `${span(r.start, r.end)} ${soft(number(r.score) + source)}`;
  };
  const more = item.num_rivals > RIVALS ? `<br>${soft(`and ${item.num_rivals - RIVALS} more`)}` : "";
  return item.rivals.slice(0, RIVALS).map(one).join("<br>") + more;
}

/**
 * Sum a video up: its length, each run's verdicts, the leading run's video scores.
 *
 * @param {import("./payload.js").Payload} data
 */
export function summary(data) {
  const truth = data.tracks.find((t) => t.key === "gt"), runs = data.tracks.filter((t) => t.kind === "detections");
  const count = truth ? truth.items.filter((i) => i.role === "gt").length : 0;
  const instances = `${count} instance${count === 1 ? "" : "s"}`;
  const length = `${clockText(data.duration)} · ${data.num_snippets} snippets · ${instances}`;
  const nothing = data.lead ? "None of the chosen runs can be read." : "Choose a run to see what it says.";
  const verdicts = `<table>${runs.map(counts).join("")}</table><div class="hint" style="padding-top:4px">` +
    `Verdicts at tIoU ${data.tiou}. Click a detection to see why it is there; press ? for keys.</div>`;
  return `<h4><span class="name">${escaped(data.title)}</span><span class="soft num">${length}</span></h4>` +
    `<div class="cols"><div>${runs.length ? verdicts : `<div class="hint">${nothing}</div>`}</div>` +
    `<div>${data.scores.length ? scores(data) : ""}</div></div>`;
}

function counts({ run, title, counts: { tp, fp }, misses }) {
  const chip = (kind, n) => `<span class="chip ${kind}">${n} ${kind.toUpperCase()}</span>`;
  const chips = [chip("tp", tp), chip("fp", fp), chip("fn", misses.length)];
  return line(`${run ? badge(run) + " " : ""}${escaped(title)}`, chips.join(" "));
}

function scores({ lead, scores: rows }) {
  const one = ({ label, score, share, truth }) => `<span class="${truth ? "is-gt" : ""}">${escaped(label)}</span>` +
    `<i style="width:${(100 * share).toFixed(1)}%"></i><span class="num">${number(score)}</span>`;
  return `<div class="hint" style="padding-bottom:3px">Video scores${lead ? ` of ${escaped(lead)}` : ""}</div>` +
    `<div class="scores">${rows.map(one).join("")}</div>`;
}
