// The clock, and what stands in the place of a video that cannot be shown: why, the time in large, the way out.

import { clockText, escaped } from "./text.js";

export class Stage {
  /**
   * @param {HTMLElement} place of the video
   * @param {HTMLElement} clock in the bar
   * @param {() => void} onCopy called when a copy that browsers play is asked for
   * @param {import("./component.js").On} on
   */
  constructor(place, clock, onCopy, on) {
    this.place = place; this.clock = clock;
    this.html = this.time = "";
    on(place, "click", (e) => { if (e.target.closest("[data-offer]")) onCopy(); });
  }

  /** Say why there is no video, and offer a way out in the words of `offer`; "" where there is one, and none. */
  say(problem, offer) {
    const button = offer ? `<button class="b text" data-offer="copy">${escaped(offer)}</button>` : "";
    const html = problem ? `<b class="num"></b><span>${escaped(problem)}</span>${button}` : "";
    if (html === this.html) return;
    this.html = html; this.time = "";
    this.place.hidden = !html; this.place.innerHTML = html;
  }

  /** Show second `t` of `end`. */
  show(t, end) {
    const time = `${clockText(t, 2)} / ${clockText(end)}`;
    if (time === this.time) return;
    this.clock.textContent = this.time = time;
    const large = this.place.querySelector("b");
    if (large) large.textContent = clockText(t, 2);
  }
}
