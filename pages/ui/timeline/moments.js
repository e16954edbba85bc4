// Moments that keys jump to, and what lies where. Pure: no DOM.

const NEAR = 0.05; // seconds of tolerance, so that two presses in a row go on

/**
 * Return starts of ground truth, of the leading run's detections, and the failures of that run.
 *
 * @param {import("./payload.js").Track[]} tracks
 * @returns {{truths: number[], detections: number[], failures: {start: number, id: ?string}[]}} seconds, sorted
 */
export function momentsOf(tracks) {
  const starts = (items) => [...new Set(items.map((i) => i.start))].sort((a, b) => a - b);
  const lead = tracks.find((t) => t.kind === "detections"), drawn = lead ? lead.items.filter((i) => i.lane >= 0) : [];
  const wrong = drawn.filter((i) => i.verdict === "fp");
  return {
    truths: starts(tracks.filter((t) => t.kind === "segments" && t.key === "gt").flatMap((t) => t.items)),
    detections: starts(drawn),
    failures: [...wrong, ...(lead ? lead.misses : [])].sort((a, b) => a.start - b.start),
  };
}

/** Return the next moment after (`direction` 1) or before (-1) second `t`; undefined where there is none. */
export function nextOf(moments, t, direction, startOf = (m) => m) {
  return direction > 0
    ? moments.find((m) => startOf(m) > t + NEAR)
    : moments.findLast((m) => startOf(m) < t - NEAR);
}

/** Return `{track, item}` of a detection by its id, else null. */
export function foundBy(id, tracks) {
  for (const track of tracks) {
    const item = track.kind === "detections" && id !== null && track.items.find((i) => i.id === id);
    if (item) return { track, item };
  }
  return null;
}

/** Return the id of what was `{track, item}` in an earlier payload, or null. Ids count by score; places stay. */
export function sameAs({ track, item }, tracks) {
  const overlap = ({ start, end }) =>
    (Math.min(end, item.end) - Math.max(start, item.start)) / (Math.max(end, item.end) - Math.min(start, item.start));
  const items = tracks.find((t) => t.key === track.key)?.items || [];
  const best = items.filter((i) => i.label === item.label && i.lane >= 0).sort((a, b) => overlap(b) - overlap(a))[0];
  return best && overlap(best) > 0.7 ? best.id : null;
}

/** Return `{track, item}` of what the data set knows of most of a place: a fake, a context; null for nothing. */
export function liesOn({ start, end }, tracks) {
  let best = null, most = (end - start) / 2;
  for (const track of tracks) {
    if (!track.key.startsWith("truth:") || track.key === "truth:phases") continue;
    for (const item of track.items || []) {
      const shared = Math.min(item.end, end) - Math.max(item.start, start);
      if (shared > most) { most = shared; best = { track, item }; }
    }
  }
  return best;
}
