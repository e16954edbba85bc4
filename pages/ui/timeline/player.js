// Playing, pausing and seeking: the video where there is one, else a clock. The playhead never asks Python.

/**
 * @typedef {Object} Listener
 * @property {() => void} onPlay it plays, or plays at another rate
 * @property {(was: boolean) => void} onPause it stands; `was`: it played
 * @property {() => void} onFrame another frame of the video can be shown
 * @property {() => void} onBroken the browser cannot play the video
 */

export class Player {
  /**
   * @param {HTMLVideoElement} video
   * @param {import("./model.js").Model} model whose `t`, `direction` and `rate` it sets
   * @param {Listener} listener
   * @param {import("./component.js").On} on
   */
  constructor(video, model, listener, on) {
    this.video = video; this.model = model; this.listener = listener;
    this.url = null; // "" where there is no video
    this.broken = false; // the browser cannot play it
    this.pending = null; // seconds to seek to once the video is there
    this.last = 0; // milliseconds at which `advance` was called
    on(video, "loadedmetadata", () => {
      if (this.pending !== null) { video.currentTime = this.pending; this.pending = null; }
      listener.onFrame();
    });
    on(video, "seeked", () => { if (!model.playing) listener.onFrame(); });
    on(video, "ended", () => this.pause());
    on(video, "pause", () => { if (model.direction > 0 && !video.seeking && !video.ended) this.pause(); });
    on(video, "error", () => { if (this.url) { this.broken = true; listener.onBroken(); } });
  }

  /** Load another video; "" for none. */
  load(url) {
    if (url === this.url) return;
    this.url = url; this.broken = false;
    this.pause();
    if (url) this.video.src = url;
    else this.unload();
  }

  unload() { this.video.removeAttribute("src"); this.video.load(); }

  /** Go to a second. */
  seek(t) {
    const { model, video } = this;
    model.t = model.inside(t);
    if (this.url && video.readyState >= 1) video.currentTime = Math.min(model.t, video.duration || model.t);
    else this.pending = model.t;
  }

  /** Play forward (1) or backward (-1); browsers play no video backward, so it is sought frame by frame. */
  play(direction = 1, rate = 1) {
    const { model, video } = this;
    model.direction = direction; model.rate = rate;
    this.last = performance.now();
    if (this.url && direction > 0) { video.playbackRate = rate; video.play().catch(() => this.pause()); }
    else if (this.url) video.pause();
    this.listener.onPlay();
  }

  pause() {
    const { model } = this, was = model.playing;
    model.direction = 0; model.rate = 1;
    if (this.url) this.video.pause();
    this.listener.onPause(was);
  }

  /** Move the playhead on to now; pause at either end. */
  advance() {
    const { model, video } = this, now = performance.now(), ahead = model.direction > 0;
    if (this.url && ahead) model.t = video.currentTime;
    else {
      const t = model.t + ((now - this.last) / 1000) * model.rate * model.direction;
      model.t = Math.min(Math.max(t, 0), model.end);
      if (this.url && !video.seeking) video.currentTime = model.t;
    }
    this.last = now;
    if (ahead ? model.t >= model.end - 1e-3 : model.t <= 0) this.pause();
  }

  destroy() { this.video.pause(); this.unload(); }
}
