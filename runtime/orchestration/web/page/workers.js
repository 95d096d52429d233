// The workers of tasks: how they are, where, what they can do, when they were last heard of.

import { attribute, chip, h, keyed, text } from "./dom.js";
import { milliseconds, plural, visible, whole } from "./format.js";
import { shownWorker } from "./work.js";
import { stateChip } from "./workflow.js";

const ORDER = ["busy", "ready", "joining", "draining", "suspect", "lost", "excluding", "excluded"];
const SILENT = new Set(["suspect", "lost"]);
const SHOWN = 500;
const HEADS = ["Worker", "State", "Host", "Runs on", "Tasks", "Done", "Heard of", "Why"];
const COMMAND = "swarmc start-worker";

/** `exclude(worker)` asks whether one is to be; `typed(command)`: how it is typed for this router. */
export class WorkersView {
  constructor(exclude, typed) {
    this.exclude = exclude;
    this.typed = typed;
    this.shown = new WeakMap(); // workers of the rows
    this.counts = h("p", { class: "note", role: "status" });
    this.rows = h("tbody");
    this.table = h("table", {},
      h("thead", {}, h("tr", {}, ...HEADS.map((name) => h("th", { scope: "col" }, name)),
        h("td"))), this.rows);
    this.none = h("p", { class: "empty" });
    this.more = h("p", { class: "note", hidden: true });
    this.root = h("article", { class: "workers", "aria-labelledby": "workers-title" },
      h("header", { class: "head" }, h("h2", { id: "workers-title", tabindex: -1 }, "Workers"),
        this.counts),
      this.none, this.table, this.more);
  }

  /** `there`: whether the router tells of workers; null: it has not said yet. */
  update(work, there) {
    const workers = [...work.workers.values()].sort(order);
    const shown = workers.slice(0, SHOWN);
    this.table.hidden = workers.length === 0;
    this.none.hidden = workers.length > 0;
    if (there === null) text(this.none, "Loading…");
    else if (!there) text(this.none, "This router does not tell of workers of tasks.");
    else if (this.none.childElementCount === 0) {
      this.none.replaceChildren("No workers have joined: tasks run where the router is. Start one with ",
        h("code", {}, this.typed(COMMAND)), ".");
    }
    const sums = ORDER.map((state) => [state,
      workers.filter((worker) => shownWorker(worker) === state).length]);
    text(this.counts, sums.filter(([, n]) => n).map(([state, n]) => `${whole(n)} ${state}`).join(" · "));
    keyed(this.rows, shown, ({ id }) => id, () => this.#create(), (element, worker) => {
      this.shown.set(element, worker);
      row(element, worker);
    });
    this.more.hidden = shown.length === workers.length;
    text(this.more, `${plural(workers.length - shown.length, "worker")} more`);
  }

  #create() {
    const button = h("button", { type: "button", class: "danger",
      onclick: () => this.exclude(this.shown.get(element)) }, "Exclude");
    const element = h("tr", {}, h("th", { scope: "row" }),
      h("td", { "data-head": "State" }, chip("joining")),
      ...HEADS.slice(2).map((head) => h("td", { "data-head": head })),
      h("td", { class: "acts" }, button));
    return element;
  }
}

function row(element, worker) {
  const { id, data, heard: last } = worker;
  const [name, state, host, targets, tasks, done, heard, why, acts] = element.children;
  attribute(element, "data-worker", data.name || id);
  attribute(element, "data-state", data.state);
  text(name, visible(data.name || id));
  stateChip(state.firstChild, shownWorker(worker));
  element.classList.toggle("unsure", Boolean(worker.excluding));
  const domain = data.domain && data.domain !== data.host ? ` (domain ${data.domain})` : "";
  text(host, [data.host, data.pid && `process ${data.pid}`].filter(Boolean).join(", ") + domain);
  text(targets, [...(data.targets ?? []), ...(data.executors ?? [])].join(", "));
  attribute(targets, "title", (data.capabilities ?? []).join(", ") || null);
  text(tasks, `${whole(data.running ?? 0)} of ${whole(data.capacity ?? 1)}`);
  text(done, whole(data.completed ?? 0));
  text(heard, heardOf(data, last));
  text(why, visible(data.reason ?? ""));
  const [button] = acts.children;
  button.hidden = data.state === "excluded";
  button.disabled = Boolean(worker.excluding);
  attribute(button, "aria-label", `Exclude ${visible(data.name || id)}`);
}

/** Those that are silent are silent for longer each time one looks. */
function heardOf(data, last) {
  if (last === null) return "";
  const age = Math.round(SILENT.has(data.state) ? performance.now() - last : data.heard_ms ?? 0);
  return `${age < 1000 ? `${age} ms` : milliseconds(age)} ago`;
}

const order = (a, b) => (a.data.name ?? "").localeCompare(b.data.name ?? "", "en", { numeric: true })
  || (a.id < b.id ? -1 : 1);
