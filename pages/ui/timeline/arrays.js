// Keeps the arrays of the last few payloads for timelines of this page; see Payload in __init__.py.

const KEPT = 6;

export default function ({ data }) {
  if (!(data instanceof Uint8Array)) return;
  const kept = (window.__wtalArrays ??= new Map()), id = new TextDecoder().decode(data.subarray(0, 16));
  if (!kept.has(id)) {
    kept.set(id, data.buffer.slice(data.byteOffset + 16, data.byteOffset + data.byteLength));
    if (kept.size > KEPT) kept.delete(kept.keys().next().value);
  }
  window.dispatchEvent(new CustomEvent("wtal-arrays", { detail: id }));
}
