// What the page knows of workflows, their tasks, and workers: the router's word, and events since.
// An answer may be older than events that came before it: what those touched stays theirs.

import { visible } from "./format.js";

export const LIMITS = {
  workflows: 200, // that are known
  loaded: 8, // of these with their tasks
};

export const OVER = new Set(["completed", "failed", "rolled_back"]);
const STARTED = new Set(["running", "completed", "failed"]);
const UNDO = "/rollback"; // behind the id of the task that a task undoes
const LEFT_OUT = { agent: null, attempts: 0, error: null }; // what the router does not say is so

function newWorkflow(id) {
  return {
    id, data: null, tasks: new Map(), pending: null, cancelling: null, seq: 0, rev: 1, shape: 1,
    viewed: 0,
    loaded: false, // whether its tasks are known
    fresh: false, // whether the router told of them on this connection
    asking: false, // whether it is asked
  };
}

/** What a task is shown as: what was rolled back is no longer completed. */
export function shownState(task) {
  const { undo } = task;
  if (!undo) return task.state;
  return { completed: "rolled_back", failed: "rollback_failed", cancelled: "rollback_failed" }[undo.state]
    ?? "rolling_back";
}

/** What a workflow is shown as: what was asked of it counts until the router says no. */
export function shownWorkflow(workflow) {
  if (workflow.pending) return "deploying";
  if (workflow.cancelling && workflow.data.state === "running") return "cancelling";
  return workflow.data.state;
}

/** What a worker is shown as, likewise. */
export const shownWorker = ({ data, excluding }) => (excluding ? "excluding" : data.state);

/** Calls `changed()` after every change. */
export class Work {
  constructor(changed) {
    this.changed = changed;
    this.workflows = new Map();
    this.workers = new Map();
    this.rev = 1;
    this.workersRev = 1;
    this.views = 1;
  }

  /** That a workflow is another than it was. */
  touched(workflow) {
    workflow.rev += 1;
    this.rev += 1;
    this.changed();
  }

  // -- workflows -------------------------------------------------------------------------------

  /** All that the router tells of; `asked`: the latest event when it was asked. */
  list(workflows, asked) {
    const there = new Set(workflows.map((data) => data.workflow_id));
    for (const workflow of this.workflows.values()) {
      const kept = workflow.pending || workflow.loaded || workflow.seq > asked;
      if (!there.has(workflow.id) && !kept) this.workflows.delete(workflow.id);
    }
    for (const data of workflows) this.put(data, asked);
    this.rev += 1;
    this.changed();
  }

  /** A workflow as it is: `seq` of the event that told it, or of the latest one before. */
  put(data, seq) {
    let workflow = this.workflows.get(data.workflow_id);
    if (!workflow) {
      workflow = newWorkflow(data.workflow_id);
      this.workflows.set(workflow.id, workflow);
    }
    if (seq >= workflow.seq) {
      const { tasks, ...rest } = data;
      workflow.data = { ...rest, name: visible(data.name) };
      workflow.seq = seq;
      if (data.state !== "running") workflow.cancelling = null;
    }
    this.#bound();
    this.touched(workflow);
    return workflow;
  }

  /** The answer to `workflow_status`: a workflow and all of its tasks. */
  status(data, asked) {
    const workflow = this.put(data, asked);
    const tasks = new Map();
    for (const told of data.tasks ?? []) {
      const known = workflow.tasks.get(told.task_id);
      const task = known ?? newTask(told.task_id, told.symbol, Boolean(told.rollback));
      task.dependencies = told.dependencies ?? [];
      task.executor = told.executor;
      if (asked >= task.seq) this.#set(task, told, asked);
      if (told.duration_ms !== undefined) task.duration = told.duration_ms;
      tasks.set(task.id, task);
    }
    for (const task of workflow.tasks.values()) {
      if (task.seq > asked && !tasks.has(task.id)) tasks.set(task.id, task);
    }
    workflow.tasks = tasks;
    workflow.loaded = true;
    workflow.shape += 1;
    this.#undone(workflow);
    this.touched(workflow);
    return workflow;
  }

  /** That somebody looks at it: its tasks are kept, those of others in time are not. */
  viewing(workflow) {
    if (workflow.viewed === this.views) return;
    this.views += 1;
    workflow.viewed = this.views;
    const loaded = [...this.workflows.values()].filter((one) => one.loaded)
      .sort((a, b) => b.viewed - a.viewed);
    for (const old of loaded.slice(LIMITS.loaded)) this.#unload(old);
  }

  #unload(workflow) {
    workflow.loaded = false;
    workflow.tasks = new Map();
    workflow.shape += 1;
    workflow.rev += 1;
  }

  /** Forget a workflow. */
  remove(id) {
    this.workflows.delete(id);
    this.rev += 1;
    this.changed();
  }

  #bound() {
    if (this.workflows.size <= LIMITS.workflows) return;
    const spare = [...this.workflows.values()].filter((one) => !one.pending && !one.loaded)
      .sort((a, b) => OVER.has(b.data.state) - OVER.has(a.data.state) || began(a) - began(b));
    if (spare.length) this.workflows.delete(spare[0].id);
  }

  // -- events ----------------------------------------------------------------------------------

  /** An event that is new. */
  event(event) {
    const { workflow, task, worker, gone } = event.data ?? {};
    if (event.type === "workflow_changed" && workflow) this.put(workflow, event.seq);
    else if (event.type === "task_changed" && task) this.#task(task, event);
    else if (event.type === "worker_changed" && worker) {
      this.worker(worker, event.seq);
      if (gone) this.workers.delete(worker.worker_id);
    }
  }

  #task(told, event) {
    const workflow = this.workflows.get(told.workflow_id);
    if (!workflow) return;
    let task = workflow.tasks.get(told.task_id);
    if (!task) {
      if (!workflow.loaded && !workflow.asking) return;
      task = newTask(told.task_id, told.name, told.task_id.endsWith(UNDO));
      workflow.tasks.set(task.id, task);
      if (!task.rollback) workflow.shape += 1;
    }
    if (event.seq <= task.seq) return;
    this.#set(task, told, event.seq);
    if (told.state === "running") task.since = event.at;
    else if (task.since !== null && STARTED.has(told.state)) {
      task.duration = (event.at - task.since) * 1000;
    }
    if (task.rollback) this.#undone(workflow);
    this.touched(workflow);
  }

  #set(task, told, seq) {
    const { state, agent, attempts, error } = { ...LEFT_OUT, ...told };
    Object.assign(task, { state, agent, attempts, error, seq });
    task.rev += 1;
  }

  /** Tell tasks what undoes them: both are shown as one. */
  #undone(workflow) {
    for (const undo of workflow.tasks.values()) {
      if (!undo.rollback) continue;
      const task = workflow.tasks.get(undo.id.slice(0, -UNDO.length));
      if (!task) continue;
      task.undo = undo;
      task.rev += 1;
    }
  }

  // -- workers ---------------------------------------------------------------------------------

  /** All workers that the router tells of. */
  workerList(workers, asked) {
    const there = new Set(workers.map((data) => data.worker_id));
    for (const [id, worker] of this.workers) {
      if (!there.has(id) && worker.seq <= asked) this.workers.delete(id);
    }
    for (const data of workers) this.worker(data, asked);
    this.workersRev += 1;
    this.changed();
  }

  /** A worker as it is. */
  worker(data, seq) {
    const known = this.workers.get(data.worker_id);
    if (known && known.seq > seq) return;
    // Of one that is gone the router does not say when it was heard of: it was when it last did.
    const told = data.heard_ms ?? null;
    const heard = told === null ? known?.heard ?? null : performance.now() - told;
    const excluding = data.state === "excluded" ? null : known?.excluding ?? null;
    this.workers.set(data.worker_id, { id: data.worker_id, data, seq, heard, excluding });
    this.workersRev += 1;
    this.changed();
  }

  /** That a worker is to be excluded, by this reference; null: that it is not. */
  excluding(id, reference) {
    const worker = this.workers.get(id);
    if (!worker) return;
    worker.excluding = reference;
    this.workersRev += 1;
    this.changed();
  }

  /** What people call an agent: the name of a worker, or its id. */
  nameOf(agent) {
    return visible(this.workers.get(agent)?.data.name || agent);
  }
}

export const began = (workflow) => workflow.data.started ?? 0;

function newTask(id, symbol, rollback) {
  return {
    id, symbol: visible(symbol), rollback, state: "waiting", executor: "", ...LEFT_OUT, dependencies: [],
    undo: null, since: null, duration: null, seq: 0, rev: 1,
  };
}

/** A manifest's tasks as they will be, for as long as the router has not named them. */
export function expected(manifest, id) {
  return manifest.symbols.map((symbol) => ({
    task_id: `${id}/${symbol.name}`, symbol: symbol.name, executor: symbol.dispatch ?? "internal",
    state: symbol.dependencies?.length ? "waiting" : "queued",
    dependencies: (symbol.dependencies ?? []).map((name) => `${id}/${name}`),
  }));
}
