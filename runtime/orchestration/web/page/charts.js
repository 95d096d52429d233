// Small bar charts of what turns used: one bar a turn, the latest on the right.

import { attribute, h, keyed, svg, text } from "./dom.js";
import { bytes, milliseconds, short, whole } from "./format.js";
import { LIMITS } from "./model.js";

const HEIGHT = 40;
const STEP = 4; // units from bar to bar; the drawing is stretched to the width that there is
const FIELDS = [
  { name: "instructions", title: "Instructions", show: short },
  { name: "milliseconds", title: "Time", show: milliseconds },
  { name: "bytes", title: "Bytes", show: bytes },
];
const ROWS = 20;

/** Charts of the three figures, and the same as a table. */
export class Usage {
  constructor() {
    this.charts = FIELDS.map((field) => new Bars(field));
    this.body = h("tbody");
    this.none = h("p", { class: "empty" }, "No turn has ended yet.");
    const heads = ["Node", ...FIELDS.map((field) => field.title)];
    this.table = h("details", { class: "table" },
      h("summary", {}, `The latest ${ROWS} as a table`),
      h("table", {}, h("thead", {}, h("tr", {}, ...heads.map((n) => h("th", { scope: "col" }, n)))),
        this.body));
    this.root = h("section", { class: "usage", "aria-labelledby": "usage-title" },
      h("h3", { id: "usage-title" }, "Usage per turn"), this.none,
      ...this.charts.map((chart) => chart.root), this.table);
    this.table.addEventListener("toggle", () => this.#rows());
  }

  update(swarm, only) {
    this.points = swarm.points.filter((point) => only.size === 0 || only.has(point.node));
    const some = this.points.length > 0;
    this.none.hidden = some;
    this.table.hidden = !some;
    for (const chart of this.charts) chart.update(this.points);
    this.#rows();
  }

  #rows() {
    if (!this.table.open) return;
    const latest = this.points.slice(-ROWS).reverse();
    this.body.replaceChildren(...latest.map((point) => h("tr", {},
      h("th", { scope: "row" }, String(point.node)),
      ...FIELDS.map(({ name }) =>
        h("td", {}, name === "milliseconds" ? milliseconds(point[name]) : whole(point[name]))))));
  }
}

class Bars {
  constructor(field) {
    this.field = field;
    this.points = [];
    this.value = h("b");
    this.caption = h("span", { class: "of" });
    this.bars = svg("g");
    this.drawing = svg("svg", { preserveAspectRatio: "none", role: "img" }, this.bars);
    this.root = h("figure", { class: "chart" },
      h("figcaption", {}, h("span", {}, field.title), this.value, this.caption), this.drawing);
    this.drawing.addEventListener("pointermove", (event) => this.#point(event));
    this.drawing.addEventListener("pointerleave", () => this.#read(null));
  }

  update(points) {
    this.root.hidden = points.length === 0;
    if (points.length === 0) return;
    this.points = points;
    const { name, show, title } = this.field;
    this.most = Math.max(...points.map((point) => point[name]));
    const width = Math.max(points.length, LIMITS.points / 4);
    attribute(this.drawing, "viewBox", `0 0 ${width * STEP} ${HEIGHT}`);
    const first = width - points.length;
    keyed(this.bars, points, (_, index) => index, () => svg("rect", { width: STEP - 1 }),
      (bar, point, index) => {
        const height = this.most > 0 ? Math.max(1, (point[name] / this.most) * HEIGHT) : 1;
        attribute(bar, "x", (first + index) * STEP);
        attribute(bar, "y", HEIGHT - height);
        attribute(bar, "height", height);
      });
    const latest = show(points.at(-1)[name]);
    attribute(this.drawing, "aria-label",
      `${title} of ${points.length} turns: latest ${latest}, most ${show(this.most)}`);
    this.first = first;
    this.width = width;
    this.#read(this.index ?? null);
  }

  #point(event) {
    const box = this.drawing.getBoundingClientRect();
    const at = Math.floor(((event.clientX - box.left) / box.width) * this.width) - this.first;
    this.#read(at >= 0 && at < this.points.length ? at : null);
  }

  /** Show one point's figure; null: the latest. */
  #read(index) {
    const { name, show } = this.field;
    this.index = index;
    const point = this.points[index ?? this.points.length - 1];
    if (!point) return;
    text(this.value, show(point[name]));
    text(this.caption, index === null ? `most ${show(this.most)}` : `node ${point.node}`);
    for (const bar of this.bars.querySelectorAll(".at")) bar.classList.remove("at");
    if (index !== null) this.bars.children[index]?.classList.add("at");
  }
}
