// A small chart of a figure over time, and the same as words.

import { attribute, h, svg, text } from "./dom.js";
import { clock } from "./format.js";

const WIDTH = 600; // units; the drawing is stretched to the room that there is
const HEIGHT = 90;
const HOLE = 15000; // ms without a value, over which no line is drawn

/** Points are `{at, value}`: when, in ms since 1970; null: nobody knows. */
export class Lines {
  constructor(title, show) {
    this.title = title;
    this.show = show;
    this.points = [];
    this.value = h("b");
    this.caption = h("span", { class: "of" });
    this.line = svg("path", { class: "line", fill: "none", "vector-effect": "non-scaling-stroke" });
    this.area = svg("path", { class: "area" });
    this.mark = svg("line", { class: "mark", y1: 0, y2: HEIGHT, "vector-effect": "non-scaling-stroke" });
    this.drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none",
      role: "img" }, this.area, this.line, this.mark);
    this.from = h("time");
    this.to = h("time");
    this.root = h("figure", { class: "chart over-time" },
      h("figcaption", {}, h("span", {}, title), this.value, this.caption), this.drawing,
      h("p", { class: "axis", "aria-hidden": "true" }, this.from, this.to));
    this.drawing.addEventListener("pointermove", (event) => this.#point(event));
    this.drawing.addEventListener("pointerleave", () => this.#read(null));
  }

  update(points) {
    this.points = points.filter(({ value }) => value !== null);
    this.root.hidden = this.points.length < 2;
    if (this.root.hidden) return;
    this.most = this.points.reduce((most, { value }) => Math.max(most, value), 0);
    this.begin = this.points[0].at;
    this.length = Math.max(1, this.points.at(-1).at - this.begin);
    const runs = [];
    this.points.forEach((point, index) => {
      const before = this.points[index - 1];
      if (!before || point.at - before.at > HOLE) runs.push([]);
      runs.at(-1).push(`${this.#x(point)},${this.#y(point)}`);
    });
    const ends = (run) => [run[0], run.at(-1)].map((place) => place.split(",")[0]);
    attribute(this.line, "d", runs.map((run) => `M${run.join("L")}`).join(""));
    attribute(this.area, "d", runs.map((run) =>
      `M${run.join("L")}L${ends(run)[1]},${HEIGHT}L${ends(run)[0]},${HEIGHT}Z`).join(""));
    const latest = this.points.at(-1);
    attribute(this.drawing, "aria-label", `${this.title} since ${clock(this.begin / 1000)}: latest ${
      this.show(latest.value)}, most ${this.show(this.most)}`);
    text(this.from, clock(this.begin / 1000));
    text(this.to, clock(latest.at / 1000));
    this.#read(this.pointed ?? null);
  }

  #x({ at }) {
    return (((at - this.begin) / this.length) * WIDTH).toFixed(1);
  }

  #y({ value }) {
    return (HEIGHT - 1 - (this.most > 0 ? value / this.most : 0) * (HEIGHT - 4)).toFixed(1);
  }

  #point(event) {
    const box = this.drawing.getBoundingClientRect();
    this.#read(this.begin + ((event.clientX - box.left) / box.width) * this.length);
  }

  /** Show the figure of a time; null: the latest. */
  #read(at) {
    this.pointed = at;
    const away = (point) => Math.abs(point.at - at);
    const point = at === null ? this.points.at(-1)
      : this.points.reduce((best, one) => (away(one) < away(best) ? one : best));
    text(this.value, this.show(point.value));
    text(this.caption, at === null ? `most ${this.show(this.most)}` : clock(point.at / 1000));
    attribute(this.mark, "visibility", at === null ? "hidden" : "visible");
    for (const name of ["x1", "x2"]) attribute(this.mark, name, this.#x(point));
  }
}
