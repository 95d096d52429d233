// What people are told: notices that stay until they are closed, and words for screen readers.

import { h, text } from "./dom.js";
import { plural } from "./format.js";

const MOST = 4;
const PAUSE = 2000; // ms between two announcements: ten thousand turns are a few sentences

const find = (id) => document.getElementById(id);

/** Show what went wrong; `again` is what may be done about it: [label, function]. */
export function notice(title, message, again = null) {
  const root = find("notices");
  const close = () => element.remove();
  const element = h("div", { class: "notice" },
    h("p", {}, h("b", {}, title), ` ${message}`),
    again && h("button", { type: "button", class: "quiet", onclick: () => {
      close();
      again[1]();
    } }, again[0]),
    h("button", { type: "button", class: "quiet", "aria-label": "Close this notice",
      onclick: close }, "✕"));
  root.append(element);
  while (root.children.length > MOST) root.firstElementChild.remove();
}

/** Turns that ended, told together. */
export class Announcer {
  constructor() {
    this.counts = new Map();
    this.timer = null;
  }

  turn(outcome) {
    this.counts.set(outcome, (this.counts.get(outcome) ?? 0) + 1);
    this.timer ??= setTimeout(() => this.#tell(), PAUSE);
  }

  #tell() {
    const words = [...this.counts].map(([outcome, count]) => `${plural(count, "turn")} ${outcome}`);
    text(find("announcer"), words.join(", "));
    this.counts.clear();
    this.timer = null;
  }
}
