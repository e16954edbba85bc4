// What browser tests and `wtal bench app` see of a timeline, as `window.__wtal`, where the environment asks for it.

import { liesOn } from "./moments.js";

/** @param {import("./component.js").Timeline} timeline */
export function hookOf(timeline) {
  const { model, look, player, over, scroll, draws } = timeline, { axis } = model;
  return {
    over, scroll, draws, video: player.video,
    get rev() { return timeline.rev; },
    get raf() { return timeline.raf; },
    get frames() { return timeline.frames; },
    get src() { return player.url; },
    get dark() { return look.dark; },
    get data() { return model.data; },
    get t() { return model.t; },
    get end() { return model.end; },
    get view() { return axis.view; },
    get w() { return axis.w; },
    get playing() { return model.playing; },
    get chosen() { return model.chosen; },
    get visible() { return model.visible; },
    get truths() { return model.moments.truths; },
    get failures() { return model.moments.failures; },
    x: (t) => axis.x(t),
    found: (id) => model.found(id),
    barOf: (row, item) => model.barOf(row, item),
    liesOn: (item) => liesOn(item, model.data.tracks),
    choose: (id) => timeline.choose(id),
    zoom: (factor, around) => timeline.zoom(factor, around),
    setView: (a, b) => timeline.setView(a, b),
  };
}
