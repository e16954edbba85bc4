// The list under "Tracks": show, hide, fold and order them.

import { arrow, badge } from "./labels.js";
import { escaped } from "./text.js";

const ACTIONS = { fold: "Fold all", unfold: "Unfold all", reset: "Reset" };

export class Menu {
  /**
   * @param {HTMLElement} element
   * @param {import("./model.js").Model} model whose preferences it changes
   * @param {() => void} onChange called after it has
   * @param {import("./component.js").On} on
   */
  constructor(element, model, onChange, on) {
    this.element = element; this.model = model; this.onChange = onChange;
    on(element, "change", (e) => { model.prefs.hidden[e.target.value] = !e.target.checked; onChange(); });
    on(element, "click", (e) => this.press(e.target));
  }

  get open() { return !this.element.hidden; }

  toggle() {
    this.element.hidden = this.open;
    if (this.open) this.show();
  }

  close() { this.element.hidden = true; }

  show() {
    const { model } = this;
    const button = ([name, text]) => `<button class="b text" data-menu="${name}">${text}</button>`;
    const actions = Object.entries(ACTIONS).map(button);
    const items = model.order().map((track) => item(track, model.hidden(track)));
    this.element.innerHTML = `<div class="actions">${actions.join("")}</div>${items.join("")}`;
  }

  press(target) {
    const { model, element } = this, move = target.closest("[data-move]"), action = target.dataset.menu;
    if (!move && !action) return;
    if (move) model.shift(move.dataset.key, move.dataset.move === "up" ? -1 : 1);
    else if (action === "reset") model.reset();
    else for (const { key } of model.data.tracks) model.prefs.folded[key] = action === "fold";
    this.onChange();
    this.show();
    if (!move) return;
    element.querySelector(`[data-key="${CSS.escape(move.dataset.key)}"][data-move=${move.dataset.move}]`)?.focus();
  }
}

function item({ key, run, title }, hidden) {
  const name = escaped(title), id = escaped(key);
  const box = `<input type="checkbox" value="${id}" ${hidden ? "" : "checked"}>`;
  const move = (way) => `<button class="b" data-move="${way}" data-key="${id}" aria-label="Move ${name} ${way}"` +
    ` title="Move ${way}">${arrow(way === "up")}</button>`;
  const label = `<label>${box}${badge(run)}<span class="n">${name}</span></label>`;
  return `<div class="item">${label}${move("up")}${move("down")}</div>`;
}
