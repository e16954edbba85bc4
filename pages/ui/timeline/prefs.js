// Which tracks a person hid, folded and put in another order; kept by the browser across pages and visits.

const KEY = "wtal.tracks", WHERE = ["localStorage", "sessionStorage"];

/** Return what was kept, else nothing chosen. @returns {import("./model.js").Prefs} */
export function loadPrefs() {
  const prefs = { order: [], hidden: {}, folded: {} };
  for (const where of WHERE) {
    try {
      const text = window[where].getItem(KEY);
      if (text) return Object.assign(prefs, JSON.parse(text));
    } catch { /* storage may be switched off: a choice then lasts as long as the page */ }
  }
  return prefs;
}

/** Keep it. @param {import("./model.js").Prefs} prefs */
export function savePrefs(prefs) {
  for (const where of WHERE) {
    try { window[where].setItem(KEY, JSON.stringify(prefs)); } catch { /* as above */ }
  }
}
