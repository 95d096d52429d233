// The graph of a workflow's tasks: boxes in layers, and lines from each to what waits for it. Very
// large ones are drawn as a grid of cells, layer by layer, without lines.

import { attribute, h, keyed, svg, text } from "./dom.js";
import { plural, whole } from "./format.js";
import { inLayers, layered } from "./layered.js";
import { shownState } from "./work.js";

export const MOST = { tasks: 120, lines: 2000, cells: 2000 };
const NARROW = 640; // pixels of width below which layers are put below each other
const WIDE = { along: 176, across: 46, gap: 44, space: 14 };
const TALL = { along: 46, across: 148, gap: 34, space: 12 };
const LEAST = 0.68; // of its width, to which a task is made smaller so that all fit
const TIGHT = 160; // pixels of width of a task, below which its words need a line more
const HIGH = 62; // and its height then
const PADDING = 24; // of the frame, both sides
const EDGE = 3; // around the drawing, for outlines
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export const SIGNS = {
  waiting: "○", queued: "◔", running: "▶", completed: "✓", failed: "✕", cancelled: "–",
  rolling_back: "↺", rolled_back: "↶", rollback_failed: "⚠",
};
export const words = (state) => state.replaceAll("_", " ");

/** `choose(id)` is called with the task that was clicked, `turned()` if it is to be drawn anew. */
export class Graph {
  constructor(choose, turned) {
    this.choose = choose;
    this.width = null; // of the frame, for which it was drawn
    this.down = false; // whether layers are below each other
    this.boxes = new Map(); // task id -> what is drawn of it
    this.places = new Map(); // task id -> {layer, index}
    this.focused = null; // the one that Tab goes to
    this.lines = svg("g", { class: "lines", "aria-hidden": "true" });
    this.tasks = svg("g");
    this.drawing = svg("svg", {}, this.lines, this.tasks);
    this.cells = h("div", { class: "layers" });
    this.more = h("p", { class: "note", hidden: true });
    this.frame = h("div", { class: "graph", role: "group" }, this.drawing, this.cells);
    this.root = h("div", {}, this.frame, this.more);
    this.frame.addEventListener("keydown", (event) => this.#key(event));
    this.frame.addEventListener("focusin", (event) => this.#focus(event.target));
    new ResizeObserver(() => this.width !== this.frame.clientWidth && turned()).observe(this.frame);
  }

  /** Put the focus on a task. */
  focus(id) {
    this.boxes.get(id)?.button.focus();
  }

  /** How large tasks are drawn, so that they fit if that can be. */
  #size(tasks) {
    const room = this.width - PADDING - 2 * EDGE;
    const base = this.down ? TALL : WIDE;
    const rows = [...inLayers(tasks).values()];
    const layers = Math.max(0, ...rows) + 1;
    const fit = (side, gap, count) => {
      const wanted = Math.floor((room - (count - 1) * gap) / count);
      return Math.max(Math.round(side * LEAST), Math.min(side, wanted));
    };
    if (!this.down) {
      const gap = Math.min(base.gap, Math.max(26, Math.floor(room / layers / 5)));
      const along = fit(base.along, gap, layers);
      return { ...base, gap, along, across: along < TIGHT ? HIGH : base.across };
    }
    const counts = new Map();
    for (const layer of rows) counts.set(layer, (counts.get(layer) ?? 0) + 1);
    const across = fit(base.across, base.space, Math.max(1, ...counts.values()));
    return { ...base, across, along: across < TIGHT ? HIGH : base.along };
  }

  /** Draw a workflow; `chosen` is the id of the task that is told about elsewhere, or null. */
  update(workflow, chosen, agentName) {
    const width = this.frame.clientWidth;
    if (this.workflow !== workflow || this.shape !== workflow.shape || this.width !== width) {
      const down = width > 0 && width < NARROW;
      Object.assign(this, { workflow, shape: workflow.shape, width, down, chosen: undefined });
      this.#shape([...workflow.tasks.values()].filter((task) => !task.rollback));
    }
    for (const [id, box] of this.boxes) this.#state(box, workflow.tasks.get(id), agentName);
    if (this.chosen !== chosen) this.#chosen(chosen);
  }

  #shape(all) {
    const spans = spansOf(all);
    this.small = all.length > MOST.tasks || spans > MOST.lines;
    const tasks = this.small ? all.slice(0, MOST.cells) : all;
    this.boxes = new Map();
    if (!tasks.some(({ id }) => id === this.focused)) this.focused = tasks[0]?.id ?? null;
    this.drawing.toggleAttribute("hidden", this.small);
    this.cells.hidden = !this.small;
    const layers = this.small ? this.#drawCells(tasks) : this.#drawBoxes(tasks);
    attribute(this.frame, "aria-label", `Task graph: ${plural(all.length, "task")} in ${
      plural(layers, "layer")}. Arrow keys go from task to task`);
    this.more.hidden = tasks.length === all.length;
    text(this.more, `${plural(all.length - tasks.length, "task")} more not drawn`);
  }

  // -- boxes and lines -------------------------------------------------------------------------

  #drawBoxes(tasks) {
    this.cells.replaceChildren();
    const size = this.#size(tasks);
    const { places, edges, layers, along, across } = layered(tasks, size);
    this.places = places;
    const [width, height] = this.#point(along, across).map((side) => side + 2 * EDGE);
    for (const [name, value] of Object.entries({
      width, height, viewBox: `${-EDGE} ${-EDGE} ${width} ${height}`,
    })) attribute(this.drawing, name, value);
    const [w, t] = this.#point(size.along, size.across);
    this.frame.classList.toggle("tight", w < TIGHT);
    keyed(this.tasks, tasks, ({ id }) => id, (task) => svg("foreignObject", {}, this.#button(task, "task")),
      (element, { id }) => {
        const [x, y] = this.#point(places.get(id).along, places.get(id).across);
        for (const [name, value] of Object.entries({ x, y, width: w, height: t })) {
          attribute(element, name, value);
        }
        this.#known(id, element.firstChild);
      });
    this.edges = edges.map(({ from, to, points }) =>
      ({ from, to, path: svg("path", { d: this.#path(points), fill: "none" }) }));
    this.lines.replaceChildren(...this.edges.map(({ path }) => path));
    return layers;
  }

  #point(along, across) {
    return this.down ? [across, along] : [along, across];
  }

  /** A line through points, which it leaves and reaches along the layers. */
  #path(points) {
    const [first, ...rest] = points;
    const parts = [`M${this.#point(...first)}`];
    let [along, across] = first;
    for (const [nextAlong, nextAcross] of rest) {
      const middle = (along + nextAlong) / 2;
      const by = [[middle, across], [middle, nextAcross], [nextAlong, nextAcross]];
      parts.push(across === nextAcross ? `L${this.#point(nextAlong, nextAcross)}`
        : `C${by.map((point) => this.#point(...point)).join(" ")}`);
      [along, across] = [nextAlong, nextAcross];
    }
    return parts.join("");
  }

  // -- cells -----------------------------------------------------------------------------------

  #drawCells(tasks) {
    keyed(this.tasks, [], () => null);
    this.lines.replaceChildren();
    this.edges = [];
    const rows = [];
    const found = inLayers(tasks);
    for (const task of tasks) (rows[found.get(task.id)] ??= []).push(task);
    this.places = new Map();
    rows.forEach((row, layer) => row.forEach(({ id }, index) => this.places.set(id, { layer, index })));
    this.cells.replaceChildren(...rows.map((row, layer) => h("div", { class: "layer" },
      h("span", { class: "note" }, `Layer ${layer + 1}`, h("br"), plural(row.length, "task")),
      h("div", { class: "cells-of" }, ...row.map((task) => {
        const button = this.#button(task, "cell");
        this.#known(task.id, button);
        return button;
      })))));
    return rows.length;
  }

  // -- each task -------------------------------------------------------------------------------

  #button(task, kind) {
    const parts = kind === "cell" ? [h("span", { "aria-hidden": "true" })]
      : [h("b"), h("span", { class: "how" }, h("span", { "aria-hidden": "true" }), h("span")),
        h("span", { class: "more" })];
    return h("button", { type: "button", class: kind, "data-task": task.id,
      onclick: () => this.choose(task.id) }, ...parts);
  }

  #known(id, button) {
    this.boxes.set(id, { id, button, rev: null, name: null });
    attribute(button, "tabindex", id === this.focused ? 0 : -1);
  }

  #state(box, task, agentName) {
    const agent = task.agent === null ? null : agentName(task.agent);
    if (box.rev === task.rev && box.agent === agent) return;
    Object.assign(box, { rev: task.rev, agent });
    const { button } = box;
    const state = shownState(task);
    const tries = task.attempts > 1 ? `attempt ${task.attempts}` : null;
    const label = [task.symbol, words(state), agent && `on ${agent}`, tries, task.error]
      .filter(Boolean).join(", ");
    attribute(button, "data-state", state);
    attribute(button, "aria-label", label);
    attribute(button, "title", label);
    if (this.small) {
      text(button.firstChild, SIGNS[state]);
      return;
    }
    const [name, how, more] = button.children;
    text(name, task.symbol);
    text(how.firstChild, SIGNS[state]);
    text(how.lastChild, words(state));
    text(more, [tries, agent].filter(Boolean).join(" · ") || task.executor);
    for (const { from, path } of this.edges) {
      if (from === box.id) attribute(path, "data-done", state === "completed");
    }
  }

  #chosen(id) {
    const before = id === null ? null : reach(this.workflow, id);
    for (const { id: one, button } of this.boxes.values()) {
      attribute(button, "aria-pressed", String(one === id));
      button.classList.toggle("aside", before !== null && !before.has(one));
    }
    for (const { from, to, path } of this.edges) {
      path.classList.toggle("on", before !== null && before.has(from) && before.has(to));
    }
    this.chosen = id;
  }

  // -- the keyboard ----------------------------------------------------------------------------

  #focus(target) {
    const id = target.closest?.("[data-task]")?.getAttribute("data-task");
    if (!id || id === this.focused) return;
    const old = this.boxes.get(this.focused);
    if (old) attribute(old.button, "tabindex", -1);
    attribute(target, "tabindex", 0);
    this.focused = id;
  }

  #key(event) {
    const step = STEPS[event.key];
    const here = this.places.get(this.focused);
    if (!step || !here || event.ctrlKey || event.altKey || event.metaKey) return;
    // Cells run on in lines below each other; boxes stand along or across.
    const [layers, places] = this.down || this.small ? [step[1], step[0]] : step;
    const next = neighbour(this.places, here, layers, places);
    event.preventDefault();
    if (next === null) return;
    const { button } = this.boxes.get(next);
    button.focus();
    button.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
}

/** Through how many layers lines would run: what drawing them costs. */
function spansOf(tasks) {
  const layers = inLayers(tasks);
  let sum = 0;
  for (const { id, dependencies } of tasks) {
    for (const one of dependencies) sum += layers.get(id) - (layers.get(one) ?? layers.get(id));
  }
  return sum;
}

/** A task, all that it depends on, and all that depends on it. */
function reach(workflow, id) {
  const found = new Set([id]);
  const behind = new Map();
  for (const task of workflow.tasks.values()) {
    for (const one of task.dependencies) {
      if (!behind.has(one)) behind.set(one, []);
      behind.get(one).push(task.id);
    }
  }
  for (const next of [(one) => workflow.tasks.get(one)?.dependencies, (one) => behind.get(one)]) {
    const waiting = [id];
    while (waiting.length) {
      for (const one of next(waiting.pop()) ?? []) {
        if (found.has(one)) continue;
        found.add(one);
        waiting.push(one);
      }
    }
  }
  return found;
}

/** The nearest task in the next layer, or the next one in the same; null at the end. */
function neighbour(places, { layer, index }, layers, steps) {
  let best = null;
  let least = Infinity;
  for (const [id, place] of places) {
    const away = (place.index - index) * (steps || 1);
    if (place.layer !== layer + layers || (layers === 0 && away <= 0)) continue;
    if (Math.abs(away) < least) [best, least] = [id, Math.abs(away)];
  }
  return best;
}
