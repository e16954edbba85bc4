// Colours, patterns and fonts of the canvases, taken from the page's theme and the payload's palette.

const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
const mix = (a, b, f) => a.map((v, i) => Math.round(v + (b[i] - v) * f));
const hexOf = (c) => "#" + c.map((v) => v.toString(16).padStart(2, "0")).join("");

/** Return a CSS colour as "#rrggbb"; `fallback` where it is neither hex nor numbers. */
export function parseColour(text, fallback) {
  const m = /^#([0-9a-f]{6})/i.exec(text.trim());
  if (m) return "#" + m[1];
  const n = text.match(/[\d.]+/g);
  return n && n.length >= 3 ? hexOf(n.slice(0, 3).map((v) => Math.round(+v))) : fallback;
}

export class Look {
  /** @param {HTMLElement} root whose style gives background, ink and font */
  constructor(root) {
    this.root = root;
    this.dpr = 1; // pixels of the canvas per CSS pixel
    this.palettes = { light: {}, dark: {} }; // role -> "#rrggbb"
    this.widths = new Map(); // of texts in pixels, by font and text
    this.refresh();
  }

  /** Take the colours from the page again; return whether they changed. */
  refresh() {
    const style = getComputedStyle(this.root);
    const of = (name, other) => parseColour(style.getPropertyValue(name) || "", other);
    const paper = of("--st-background-color", "#ffffff"), ink = of("--st-text-color", "#1d2430");
    if (this.paper === paper && this.ink === ink) return false;
    const [r, g, b] = rgb(paper);
    this.paper = paper; this.ink = ink;
    this.dark = 0.3 * r + 0.59 * g + 0.11 * b < 128;
    this.line = hexOf(mix(rgb(paper), rgb(ink), 0.14));
    this.soft = hexOf(mix(rgb(paper), rgb(ink), 0.6));
    this.hatches = {};
    this.heat = this.heatColours();
    return true;
  }

  /** Return the colours of a heat map's 256 values, as a canvas stores them. */
  heatColours() {
    const low = rgb(this.paper), mid = rgb(this.dark ? "#1f6fa8" : "#56a7d8");
    const high = rgb(this.dark ? "#d9f0ff" : "#06304f");
    return Uint32Array.from({ length: 256 }, (_, i) => {
      const f = i / 255, c = f < 0.55 ? mix(low, mid, f / 0.55) : mix(mid, high, (f - 0.55) / 0.45);
      return (255 << 24) | (c[2] << 16) | (c[1] << 8) | c[0];
    });
  }

  /** Return the colour of a role, "#rrggbb". */
  colour(role) { return this.palettes[this.dark ? "dark" : "light"][role] || this.ink; }

  get playhead() { return this.dark ? "#ffffff" : "#c2185b"; }

  /** Return hatching in a role's colour, for `fillStyle`. */
  pattern(ctx, role) {
    const key = role + this.dpr;
    if (!this.hatches[key]) {
      this.hatches[key] = ctx.createPattern(hatch(this.colour(role), this.dpr), "repeat");
      this.hatches[key].setTransform(new DOMMatrix().scale(1 / this.dpr));
    }
    return this.hatches[key];
  }

  /** Set the page's font in a size such as "600 11px". */
  font(ctx, size) {
    this.family ||= getComputedStyle(this.root).fontFamily;
    ctx.font = this.fontSet = `${size} ${this.family}`;
  }

  /** Return how wide a text is in the font that `font` has set, in pixels; each is measured once. */
  width(ctx, text) {
    const key = this.fontSet + text;
    let wide = this.widths.get(key);
    if (wide === undefined) {
      if (this.widths.size > 4000) this.widths.clear();
      this.widths.set(key, (wide = ctx.measureText(text).width));
    }
    return wide;
  }
}

function hatch(colour, dpr) {
  const tile = document.createElement("canvas"), n = Math.round(6 * dpr);
  tile.width = tile.height = n;
  const ctx = tile.getContext("2d");
  ctx.strokeStyle = colour; ctx.lineWidth = 1.4 * dpr; ctx.globalAlpha = 0.75;
  for (const d of [-n, 0, n]) { ctx.beginPath(); ctx.moveTo(d - 1, n + 1); ctx.lineTo(d + n + 1, -1); ctx.stroke(); }
  return tile;
}
