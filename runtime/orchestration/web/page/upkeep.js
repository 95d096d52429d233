// Asks the router for what events do not tell: workflows and workers after each connection, the
// tasks of the workflow that is looked at, and figures, now and then.

import { Refused } from "./connection.js";

const UNKNOWN_METHOD = -32601;
const OFTEN = 1000; // ms between two looks at what is shown
const SELDOM = 5; // of these between two looks at what is not
const LISTED = 500; // tasks of each list
const LISTS = [["running"], ["queued", "waiting"], []]; // of tasks in these states; none: in any

export class Upkeep {
  /** `route()` says what is shown: `{section, id}`. */
  constructor(connection, work, tasks, samples, route, changed) {
    Object.assign(this, { connection, work, tasks, samples, route, changed });
    this.there = { workflows: null, tasks: null, workers: null, metrics: null }; // null: not known yet
    this.missing = new Set(); // workflows that the router does not know
    this.listed = 0; // how many lists of tasks it has had since events were missed
    this.ticks = 0;
    setInterval(() => this.#tick(), OFTEN);
  }

  /** Events are missing: those of before the page was opened, or of when there was no connection. */
  missed() {
    this.listed = 0;
  }

  /** There is a connection, and no event is missing behind its beginning. */
  caughtUp() {
    this.missing.clear();
    for (const workflow of this.work.workflows.values()) workflow.fresh = workflow.asking = false;
    this.#ask("workflows", "workflow_list", {}, ({ workflows }, asked) =>
      this.work.list(workflows ?? [], asked));
    this.#workers();
    this.#metrics();
    this.#tasks();
  }

  /** Have the tasks that events did not tell of: those that run first, then the latest. */
  async #tasks() {
    while (this.listed < LISTS.length) {
      const states = LISTS[this.listed];
      let found = null;
      await this.#ask("tasks", "task_list", { states, submitted: true, limit: LISTED }, (result) => (found = result));
      if (!found) break; // an older router has no lists; without a connection the next one has them
      this.listed += 1;
      this.tasks.list(found.tasks ?? [], found.seq);
      if (states.length === 0) this.tasks.more = found.next !== undefined;
    }
    const doubtful = this.tasks.doubtful();
    // One that the router does not know any more has the whole refused: they stay unknown then.
    if (doubtful.length) {
      this.#ask("tasks", "task_status", { task_ids: doubtful }, (found, asked) =>
        this.tasks.status(found.tasks ?? [], asked), () => {});
    }
  }

  /** A workflow is looked at: have its tasks, and keep them. */
  async view(id) {
    const workflow = this.work.workflows.get(id);
    if (workflow) {
      this.missing.delete(id); // events told of it since
      this.work.viewing(workflow);
    }
    const wanted = this.there.workflows && !this.missing.has(id) && this.connection.state === "live";
    if (!wanted || workflow?.pending || workflow?.fresh || workflow?.asking || this.asking === id) return;
    this.asking = id;
    if (workflow) workflow.asking = true;
    await this.#ask("workflows", "workflow_status", { workflow_id: id }, (found, asked) => {
      this.work.status(found, asked).fresh = true;
    }, () => {
      this.missing.add(id);
      this.work.remove(id);
    });
    if (this.asking === id) this.asking = null;
    if (workflow) workflow.asking = false;
  }

  #workers() {
    return this.#ask("workers", "worker_list", {}, ({ workers }, asked) =>
      this.work.workerList(workers ?? [], asked));
  }

  #metrics() {
    return this.#ask("metrics", "metrics", { since: this.samples.since }, (found) => this.samples.metrics(found));
  }

  /** Ask; `taken(result, asked)` with the latest event before. Whether it can be asked is noted. */
  async #ask(part, method, params, taken, refused = () => (this.there[part] = false)) {
    const asked = this.connection.last ?? 0;
    try {
      const result = await this.connection.call(method, params);
      this.there[part] = true;
      taken(result, asked);
    } catch (error) {
      // Without a connection it is asked again with the next one.
      if (!(error instanceof Refused)) return;
      if (error.code === UNKNOWN_METHOD) this.there[part] = false;
      else refused();
    }
    this.changed();
  }

  #tick() {
    if (this.connection.state !== "live" || document.hidden) return;
    this.ticks += 1;
    const { section } = this.route();
    const due = this.ticks % SELDOM === 0;
    if (section === "tasks") this.changed(); // times of those that run
    if (this.there.workers && section === "workers") this.#workers();
    if (this.there.metrics && (due || section === "metrics")) this.#metrics();
    if (section === "metrics" && !due) this.connection.beat();
  }
}
