// How times, numbers and labels are written. Pure: no DOM.

/** Return a text as HTML that shows it. */
export const escaped = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

/** "GolfSwing/address" -> "address": which class a phase or a context belongs to is seen by where it lies. */
export const tail = (label) => label.slice(label.lastIndexOf("/") + 1);

/** Return seconds as "1:02.5", with hours where there are some; "–" where they are not finite. */
export function clockText(t, digits = 1) {
  if (!isFinite(t)) return "–";
  const scale = 10 ** digits, ticks = Math.round(Math.max(t, 0) * scale), whole = Math.floor(ticks / scale);
  const m = Math.floor(whole / 60), h = Math.floor(m / 60), two = (n) => String(n).padStart(2, "0");
  const rest = digits ? "." + String(ticks % scale).padStart(digits, "0") : "";
  return (h ? `${h}:${two(m % 60)}` : `${m}`) + `:${two(whole % 60)}${rest}`;
}

/** Return a value with as many digits as a range of values asks for; "–" where there is none. */
export function number(v, range = 1) {
  if (v === null || v === undefined || !isFinite(v)) return "–";
  const a = Math.abs(v);
  if (a === 0) return "0";
  if (a < 0.001) return v.toExponential(1);
  return v.toFixed(range >= 100 ? 0 : range >= 10 || a >= 10 ? 1 : a < 0.01 ? 4 : range < 0.2 ? 3 : 2);
}
