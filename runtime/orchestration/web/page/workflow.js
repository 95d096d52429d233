// One workflow: what it is, the graph of its tasks, the task that was chosen, and all of them.

import { attribute, chip, h, keyed, text } from "./dom.js";
import { clock, milliseconds, plural, visible, whole } from "./format.js";
import { Graph, SIGNS, words } from "./graph.js";
import { OVER, shownState, shownWorkflow } from "./work.js";

const ROWS = 200; // of the table
const ORDER = Object.keys(SIGNS);
const HEADS = ["Task", "State", "Agent", "Attempts", "Time", "After", "Error"];

/** A chip whose words are another thing than its state. */
export function stateChip(element, state) {
  attribute(element, "data-state", state);
  text(element, words(state));
}

/** `actions`: `cancel(workflow)`; `changed()` has it drawn again. */
export class WorkflowView {
  constructor(id, actions, changed) {
    this.id = id;
    this.actions = actions;
    this.only = null; // state of the tasks that the table has; null: all
    this.chosen = null;
    this.again = () => {
      this.rev = -1;
      changed();
    };
    this.graph = new Graph((task) => this.#choose(task), this.again);
    this.#head();
    this.#table();
    this.detail = h("section", { class: "detail", "aria-live": "polite", hidden: true });
    this.states = h("div", { class: "states", role: "group",
      "aria-label": "Tasks by state: choose one for the table" });
    this.none = h("p", { class: "empty" }, "Loading its tasks…");
    this.part = h("section", { "aria-labelledby": "graph-title" },
      h("h3", { id: "graph-title" }, "Tasks"), this.states, this.graph.root);
    this.root = h("article", { class: "workflow", "aria-labelledby": "workflow-title" },
      this.header, this.none, this.part, this.detail, this.table);
  }

  #head() {
    this.title = h("h2", { id: "workflow-title", tabindex: -1 });
    this.state = chip("running");
    attribute(this.state, "role", "status");
    this.facts = h("dl", { class: "facts" });
    this.reason = h("p", { class: "error", hidden: true });
    this.end = h("button", { type: "button", class: "danger", id: "cancel",
      onclick: () => this.actions.cancel(this.workflow) }, "Cancel");
    this.header = h("header", { class: "head" },
      h("a", { class: "back", href: "#/workflows" }, "‹ Workflows"),
      h("div", { class: "title" }, this.title, this.state, this.end), this.reason, this.facts);
  }

  #table() {
    this.rows = h("tbody");
    this.rest = h("p", { class: "note", hidden: true });
    this.table = h("section", { class: "tasks", "aria-labelledby": "tasks-title" },
      h("h3", { id: "tasks-title" }, "As a table"),
      h("table", {}, h("thead", {}, h("tr", {}, ...HEADS.map((name) => h("th", { scope: "col" }, name)))),
        this.rows), this.rest);
  }

  #choose(id) {
    this.chosen = this.chosen === id ? null : id;
    this.again();
  }

  update(workflow, work) {
    this.workflow = workflow;
    const rev = `${workflow.rev} ${work.workersRev}`;
    if (this.rev === rev) return;
    this.rev = rev;
    const state = shownWorkflow(workflow);
    text(this.title, workflow.data.name);
    stateChip(this.state, state);
    this.end.hidden = OVER.has(state) || state === "rolling_back";
    this.end.disabled = state !== "running";
    this.reason.hidden = !workflow.data.error;
    text(this.reason, visible(workflow.data.error ?? ""));
    const there = workflow.tasks.size > 0;
    this.none.hidden = there;
    for (const part of [this.part, this.table]) part.hidden = !there;
    if (!workflow.tasks.has(this.chosen)) this.chosen = null;
    const tasks = [...workflow.tasks.values()].filter((task) => !task.rollback);
    this.#facts(workflow, tasks);
    if (!there) return;
    const name = (agent) => work.nameOf(agent);
    this.#states(tasks);
    this.graph.update(workflow, this.chosen, name);
    this.#detail(workflow.tasks.get(this.chosen), name);
    this.#fill(tasks, name);
  }

  #facts({ id, data, pending }, tasks) {
    const done = tasks.filter((task) => task.state === "completed").length;
    const over = OVER.has(data.state) && data.duration_ms !== undefined;
    const facts = [
      ["Run", pending ? "waiting for the router" : id], ["Version", data.version],
      ["Done", tasks.length ? `${whole(done)} of ${plural(tasks.length, "task")}` : null],
      ["Deployed", data.started ? clock(data.started) : null],
      ["Took", over ? milliseconds(data.duration_ms) : null],
    ].filter(([, value]) => value);
    keyed(this.facts, facts, ([name]) => name,
      ([name]) => h("div", { "data-fact": name }, h("dt", {}, name), h("dd", { dir: "auto" })),
      (element, [, value]) => text(element.lastChild, value));
  }

  #states(tasks) {
    const counts = new Map();
    for (const task of tasks) {
      const state = shownState(task);
      counts.set(state, (counts.get(state) ?? 0) + 1);
    }
    if (this.only !== null && !counts.has(this.only)) this.only = null;
    const there = ORDER.filter((state) => counts.has(state));
    keyed(this.states, there, (state) => state,
      (state) => h("button", { type: "button", "data-state": state, onclick: () => {
        this.only = this.only === state ? null : state;
        this.again();
      } }, h("span", { "aria-hidden": "true" }, SIGNS[state]), h("b"), ` ${words(state)}`),
      (button, state) => {
        text(button.children[1], whole(counts.get(state)));
        attribute(button, "aria-pressed", String(this.only === state));
      });
  }

  #detail(task, name) {
    this.detail.hidden = !task;
    if (!task) return;
    const of = (ids) => ids.map((id) => this.workflow.tasks.get(id)?.symbol ?? id).join(", ");
    const next = [...this.workflow.tasks.values()]
      .filter((one) => !one.rollback && one.dependencies.includes(task.id)).map(({ id }) => id);
    const facts = [
      ["State", words(shownState(task))], ["Executor", task.executor],
      ["Agent", task.agent && name(task.agent)], ["Attempts", whole(task.attempts)],
      ["Time", took(task)], ["After", of(task.dependencies)], ["Before", of(next)],
      [task.state === "failed" ? "Error" : "Latest error", task.error], ["Rollback", task.undo && words(task.undo.state)],
      ["Rollback’s error", task.undo?.error],
    ].filter(([, value]) => value);
    if (this.detail.dataset.task !== task.id) {
      this.detail.dataset.task = task.id;
      this.detail.replaceChildren(
        h("div", { class: "title" }, h("h3", {}, task.symbol),
          h("button", { type: "button", class: "quiet", "aria-label": "Close this task",
            onclick: () => this.#close() }, "✕")), h("dl"));
    }
    keyed(this.detail.lastChild, facts, ([fact]) => fact,
      ([fact]) => h("div", { "data-fact": fact }, h("dt", {}, fact), h("dd", { dir: "auto" })),
      (element, [, value]) => text(element.lastChild, visible(value)));
  }

  #close() {
    const id = this.chosen;
    this.#choose(id);
    this.graph.focus(id);
  }

  #fill(tasks, name) {
    const fits = tasks.filter((task) => this.only === null || shownState(task) === this.only);
    const shown = fits.slice(0, ROWS);
    keyed(this.rows, shown, ({ id }) => id, () => h("tr", {}, h("th", { scope: "row" }),
      ...HEADS.slice(1).map((head) => h("td", { "data-head": head }))),
    (row, task) => this.#row(row, task, name));
    this.rest.hidden = shown.length === fits.length;
    text(this.rest, `${plural(fits.length - shown.length, "task")} more: choose a state above`);
  }

  #row(row, task, name) {
    const [symbol, state, agent, attempts, time, after, error] = row.children;
    text(symbol, task.symbol);
    const shown = shownState(task);
    attribute(state, "data-state", shown);
    text(state, `${SIGNS[shown]} ${words(shown)}`);
    text(agent, task.agent === null ? "" : name(task.agent));
    text(attempts, task.attempts ? whole(task.attempts) : "");
    text(time, took(task) ?? "");
    text(after, task.dependencies.map((id) => this.workflow.tasks.get(id)?.symbol ?? id).join(", "));
    text(error, visible(task.undo?.error ?? task.error ?? ""));
  }
}

const took = (task) => (task.duration === null ? null : milliseconds(task.duration));
