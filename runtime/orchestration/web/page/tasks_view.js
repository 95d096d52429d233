// Tasks that clients submit on their own, as a table: those that run, then
// those that changed last.

import { attribute, h, keyed, text } from "./dom.js";
import { milliseconds, plural, visible, whole } from "./format.js";
import { SIGNS, words } from "./graph.js";

const ROWS = 100; // at first, and how many more each time
const LIVELY = 500; // ms after which times of what runs are drawn anew
const ORDER = ["running", "queued", "waiting", "failed", "completed", "cancelled", "unknown"];
const HEADS = ["Task", "State", "Worker", "Attempts", "Time", "Error"];
const COUNTED = ["queued", "running", "completed", "failed"];

const runs = ({ state }) => state === "running";
const sign = (state) => SIGNS[state] ?? "?";

/** `changed()` has it drawn again; `typed(command)`: how a command is typed for this router. */
export class TasksView {
  constructor(changed, typed) {
    this.only = null; // state of those that are shown; null: all
    this.most = ROWS;
    this.again = () => {
      this.rev = -1;
      changed();
    };
    this.drawn = 0;
    this.made = new WeakMap();
    this.counts = h("p", { class: "note" });
    this.states = h("div", { class: "states", role: "group", "aria-label": "Show those in one state" });
    this.search = h("input", { type: "search", id: "search-tasks", placeholder: "Find by name, id or worker",
      "aria-label": "Find a task by name, id or worker", autocomplete: "off", spellcheck: false,
      oninput: () => this.#from(this.only) });
    this.none = h("p", { class: "empty" });
    this.hint = [
      "No tasks that clients submitted on their own. Submit some with ",
      h("code", {}, typed("swarmc run module.wasm --agents 1000")),
      ". Those of a workflow are shown ", h("a", { href: "#/workflows" }, "with it"), ".",
    ];
    this.rows = h("tbody");
    this.table = h("table", {},
      h("thead", {}, h("tr", {}, ...HEADS.map((name) => h("th", { scope: "col" }, name)))), this.rows);
    this.rest = h("p", { class: "note" });
    this.more = h("button", { type: "button", class: "quiet", id: "more-tasks", onclick: () => {
      this.most += ROWS;
      this.again();
    } });
    this.root = h("article", { class: "tasks lone", "aria-labelledby": "tasks-title" },
      h("header", { class: "head" }, h("h2", { id: "tasks-title", tabindex: -1 }, "Tasks"), this.counts),
      h("div", { class: "filters" }, this.states, this.search),
      this.none, this.table, h("div", { class: "bar" }, this.rest, this.more));
  }

  #from(state) {
    this.only = state;
    this.most = ROWS;
    this.again();
  }

  /** `there`: whether the router runs tasks; null: it has not said yet. `all`: its counts. */
  update(tasks, work, there, all) {
    const now = performance.now();
    const rev = `${tasks.rev} ${work.workersRev} ${there}`;
    if (this.rev === rev && now - this.drawn < LIVELY) return;
    this.rev = rev;
    this.drawn = now;
    const name = (agent) => (agent === null ? "" : work.nameOf(agent));
    const known = [...tasks.known.values()].reverse().sort((a, b) => runs(b) - runs(a));
    this.#counts(all);
    this.#states(known);
    const wanted = this.search.value.trim().toLowerCase();
    const fits = (task) => (this.only === null || task.state === this.only) && (wanted === "" ||
      [task.name, task.id, name(task.agent)].some((value) => value.toLowerCase().includes(wanted)));
    const found = known.filter(fits);
    const shown = found.slice(0, this.most);
    keyed(this.rows, shown, ({ id }) => id, (task) => this.#create(task),
      (row, task) => this.#row(row, task, tasks.took(task), name));
    this.table.hidden = shown.length === 0;
    this.#empty(known.length, found.length, there);
    this.#rest(found.length - shown.length, tasks);
  }

  #counts(all) {
    const told = COUNTED.map((state) => `${whole(all?.[state] ?? 0)} ${state}`).join(" · ");
    text(this.counts, all ? `The router counts, with those of workflows and turns: ${told}` : "");
  }

  #states(known) {
    const counts = new Map();
    for (const { state } of known) counts.set(state, (counts.get(state) ?? 0) + 1);
    // What is chosen stays, even if there is none in it now.
    const there = ORDER.filter((state) => counts.has(state) || state === this.only);
    keyed(this.states, there, (state) => state,
      (state) => h("button", { type: "button", "data-state": state,
        onclick: () => this.#from(this.only === state ? null : state) },
      h("span", { "aria-hidden": "true" }, sign(state)), h("b"), ` ${words(state)}`),
      (button, state) => {
        text(button.children[1], whole(counts.get(state) ?? 0));
        attribute(button, "aria-pressed", String(this.only === state));
      });
  }

  #empty(known, found, there) {
    this.none.hidden = found > 0;
    this.search.hidden = known === 0;
    if (there === null) text(this.none, "Loading…");
    else if (!there) text(this.none, "This router runs no tasks of clients, only swarms.");
    else if (known) text(this.none, "No task matches.");
    else if (this.none.childElementCount === 0) this.none.replaceChildren(...this.hint);
  }

  #rest(hidden, { left, more }) {
    const told = [];
    if (hidden) told.push(`${plural(hidden, "task")} more`);
    if (left) told.push(`${plural(left, "older task")} left out`);
    else if (more) told.push("Older tasks left out");
    text(this.rest, told.join(" · "));
    this.more.hidden = hidden === 0;
    text(this.more, `Show ${whole(Math.min(hidden, ROWS))} more`);
  }

  #create(task) {
    const cells = HEADS.slice(1).map((head) => h("td", { "data-head": head }));
    const about = h("span", { class: "id" });
    const error = h("div", { class: "told" });
    cells.at(-1).append(error);
    const row = h("tr", { "data-task": task.id },
      h("th", { scope: "row" }, h("span", {}, task.name), about), ...cells);
    this.made.set(row, { cells, about, error, rev: 0 });
    return row;
  }

  #row(row, task, took, name) {
    const made = this.made.get(row);
    const [state, worker, attempts, time] = made.cells;
    text(time, took === null ? "" : `${milliseconds(took)}${task.state === "running" ? " so far" : ""}`);
    text(worker, name(task.agent));
    if (made.rev === task.rev) return;
    made.rev = task.rev;
    attribute(row, "data-state", task.state);
    text(made.about, [task.id, task.executor].filter(Boolean).join(" · "));
    attribute(state, "data-state", task.state);
    text(state, `${sign(task.state)} ${words(task.state)}`);
    text(attempts, task.attempts ? whole(task.attempts) : "");
    text(made.error, visible(task.error ?? ""));
  }
}
