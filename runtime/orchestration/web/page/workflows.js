// The workflows, those that run first, the latest of them on top.

import { attribute, chip, h, keyed, text } from "./dom.js";
import { clock, plural, whole } from "./format.js";
import { OVER, began, shownWorkflow } from "./work.js";
import { stateChip } from "./workflow.js";

const SHOWN = 100;

const find = (id) => document.getElementById(id);

export class WorkflowList {
  constructor(changed) {
    this.root = find("workflows");
    this.search = find("search-workflows");
    this.search.addEventListener("input", () => {
      this.rev = -1;
      changed();
    });
    this.rows = new WeakMap();
  }

  /** `there`: whether the router runs workflows; null: it has not said yet. */
  update(work, selected, there) {
    const rev = `${work.rev} ${selected} ${there}`;
    if (this.rev === rev) return;
    this.rev = rev;
    const wanted = this.search.value.trim().toLowerCase();
    const all = [...work.workflows.values()];
    const fits = (workflow) => [workflow.data.name, workflow.id, shownWorkflow(workflow)]
      .some((value) => value.toLowerCase().includes(wanted));
    const found = all.filter((workflow) => wanted === "" || fits(workflow)).sort(order);
    const shown = found.slice(0, SHOWN);
    keyed(this.root, shown, ({ id }) => id, (workflow) => this.#create(workflow),
      (row, workflow) => this.#row(row, workflow, selected));
    const none = find("no-workflows");
    none.hidden = found.length > 0;
    if (there === false) text(none, "This router does not run workflows.");
    else if (all.length) text(none, "No workflow matches.");
    else text(none, "No workflows.");
    const more = find("more-workflows");
    more.hidden = found.length === shown.length;
    text(more, `${plural(found.length - shown.length, "workflow")} more: find them by name or state`);
  }

  #create(workflow) {
    const parts = {
      name: h("span", { class: "name" }), state: chip("running"), meta: h("span", { class: "meta" }),
    };
    parts.link = h("a", { href: `#/workflow/${workflow.id}` }, parts.name, parts.state, parts.meta);
    const row = h("li", {}, parts.link);
    this.rows.set(row, parts);
    return row;
  }

  #row(row, workflow, selected) {
    const parts = this.rows.get(row);
    attribute(parts.link, "aria-current", workflow.id === selected ? "page" : null);
    if (parts.rev === workflow.rev) return;
    parts.rev = workflow.rev;
    const { data, pending, tasks } = workflow;
    text(parts.name, data.name);
    stateChip(parts.state, shownWorkflow(workflow));
    row.classList.toggle("over", OVER.has(data.state));
    row.classList.toggle("unsure", Boolean(pending || workflow.cancelling));
    const words = [];
    if (pending) words.push("waiting for the router");
    else if (data.started) words.push(clock(data.started));
    const symbols = [...tasks.values()].filter((task) => !task.rollback);
    const done = symbols.filter((task) => task.state === "completed").length;
    if (symbols.length) words.push(`${whole(done)} of ${plural(symbols.length, "task")}`);
    text(parts.meta, words.join(" · ") || workflow.id);
  }
}

function order(a, b) {
  const over = OVER.has(a.data.state) - OVER.has(b.data.state);
  return over || began(b) - began(a) || (a.id < b.id ? -1 : 1);
}
