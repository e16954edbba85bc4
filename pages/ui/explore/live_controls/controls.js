// Controls that report while they are dragged. Streamlit's own slider reports when it is released; here every movement is
// sent as soon as Python has answered the one before, so that what is shown follows the hand and nothing queues up.

const instances = new WeakMap();
const escaped = (s) => String(s).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

export default function ({ data, parentElement, setStateValue }) {
  let form = instances.get(parentElement);
  if (!form) instances.set(parentElement, (form = new Form(parentElement.querySelector(".form"))));
  form.set = setStateValue;
  form.update(data);
  return () => { clearTimeout(form.timer); instances.delete(parentElement); };
}

class Form {
  constructor(root) {
    this.root = root; this.seq = 0; this.sent = 0; this.acknowledged = 0; this.signature = "";
    root.addEventListener("input", (e) => this.moved(e.target));
    root.addEventListener("change", (e) => this.moved(e.target));
    root.addEventListener("click", (e) => {
      const button = e.target.closest("button[data-reset]");
      if (button) { this.values[button.dataset.reset] = this.field(button.dataset.reset).stored; this.show(); this.changed(); }
    });
  }

  field(key) { return this.data.fields.find((f) => f.key === key); }

  update(data) {
    if (!data || !Array.isArray(data.fields)) { this.root.textContent = "The controls cannot be shown."; return; }
    const fresh = data.scope !== this.data?.scope;
    this.data = data;
    if (fresh) { this.seq = this.sent = this.acknowledged = data.ack || 0; clearTimeout(this.timer); this.timer = undefined; }
    this.acknowledged = Math.max(this.acknowledged, data.ack || 0);
    const signature = JSON.stringify(data.fields.map((f) => [f.key, f.kind, f.low, f.high, f.step, f.choices, f.stored]));
    const rebuild = fresh || signature !== this.signature;
    // What a hand moves now is newer than what Python says.
    if (rebuild || this.seq === this.acknowledged) this.values = Object.fromEntries(data.fields.map((f) => [f.key, f.value]));
    if (rebuild) { this.signature = signature; this.build(); }
    this.show();
    if (this.seq > this.sent && this.acknowledged >= this.sent) this.send();
  }

  build() {
    const range = (f, part, label) => `<input type="range" data-key="${escaped(f.key)}" data-part="${part}" min="${f.low}" max="${f.high}" step="${f.step}" aria-label="${escaped(label)}">`;
    this.root.innerHTML = this.data.fields.map((f) => {
      const head = `<div class="head"><label title="${escaped(f.help)}">${escaped(f.label)}</label><output></output><button data-reset="${escaped(f.key)}" title="Back to the stored value" aria-label="Reset ${escaped(f.label)}"><svg viewBox="0 0 12 12"><path d="M2.5 5A4 4 0 1 1 2.2 7.5M2.5 2v3h3"/></svg></button></div>`;
      const was = `<div class="fill"></div>`;
      const body = {
        range: () => `<div class="track">${was}${f.stored === null ? "" : `<div class="was"></div>`}${range(f, "value", f.label)}</div>`,
        span: () => `<div class="track two">${was}${range(f, "0", f.label + ", lowest")}${range(f, "1", f.label + ", highest")}</div><div class="steps">steps <input type="number" min="2" max="60" data-key="${escaped(f.key)}" data-part="2" aria-label="${escaped(f.label)}, how many"></div>`,
        choice: () => `<select data-key="${escaped(f.key)}" data-part="value" aria-label="${escaped(f.label)}">${f.choices.map((c) => `<option>${escaped(c)}</option>`).join("")}</select>`,
        toggle: () => `<input type="checkbox" data-key="${escaped(f.key)}" data-part="value" aria-label="${escaped(f.label)}">`,
        text: () => `<input type="text" data-key="${escaped(f.key)}" data-part="value" placeholder="none" aria-label="${escaped(f.label)}"><div class="bad"></div>`,
      }[f.kind]();
      return `<div class="field ${f.kind === "toggle" ? "inline" : ""}" data-key="${escaped(f.key)}">${head}${body}</div>`;
    }).join("");
  }

  show() {
    const part = (f, v) => `${(100 * (v - f.low)) / (f.high - f.low || 1)}%`;
    for (const el of this.root.querySelectorAll(".field")) {
      const f = this.field(el.dataset.key), value = this.values[f.key], out = el.querySelector("output");
      el.classList.toggle("changed", JSON.stringify(value) !== JSON.stringify(f.stored));
      for (const input of el.querySelectorAll("input, select")) {
        const now = f.kind === "span" ? value[+input.dataset.part] : value;
        if (input.type === "checkbox") input.checked = now;
        else if (input.getRootNode().activeElement !== input || input.type === "range") { if (input.value !== String(now)) input.value = now; }
      }
      const text = (v) => (f.integer ? String(v) : +v.toPrecision(4) + "");
      const fill = el.querySelector(".fill"), was = el.querySelector(".was");
      if (f.kind === "range") { out.textContent = text(value); fill.style.left = part(f, Math.min(Math.max(0, f.low), value)); fill.style.right = `calc(100% - ${part(f, Math.max(Math.max(0, f.low), value))})`; if (was) was.style.left = part(f, f.stored); }
      if (f.kind === "span") { out.textContent = `${text(value[0])} – ${text(value[1])}`; fill.style.left = part(f, value[0]); fill.style.right = `calc(100% - ${part(f, value[1])})`; }
      const bad = el.querySelector(".bad");
      if (bad) bad.textContent = f.problem || "";
    }
  }

  moved(input) {
    const { key, part } = input.dataset;
    if (!key) return;
    const f = this.field(key);
    let value = input.type === "checkbox" ? input.checked : input.type === "range" || input.type === "number" ? parseFloat(input.value) : input.value;
    if (typeof value === "number" && !isFinite(value)) return;
    if (f.kind === "span") {
      const next = [...this.values[key]];
      next[+part] = part === "2" ? Math.min(60, Math.max(2, Math.round(value))) : value;
      if (part === "0") next[0] = Math.min(next[0], next[1]);
      if (part === "1") next[1] = Math.max(next[0], next[1]);
      value = next;
    }
    if (JSON.stringify(this.values[key]) === JSON.stringify(value)) return;
    this.values[key] = value; this.show(); this.changed();
  }

  changed() {
    this.seq += 1;
    if (this.acknowledged >= this.sent) this.send();
    // An answer can get lost (a rerun that was interrupted): go on without it after a while.
    else this.timer ??= setTimeout(() => { this.timer = undefined; if (this.seq > this.sent) this.send(); }, 1200);
  }

  send() {
    clearTimeout(this.timer); this.timer = undefined;
    this.sent = this.seq;
    this.set("values", { seq: this.seq, scope: this.data.scope, values: { ...this.values } });
  }
}
