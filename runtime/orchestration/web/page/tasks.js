// What the page knows of tasks that clients submit on their own: what the router lists, and events
// since. The latest to change are kept; what was left out is counted.

import { visible } from "./format.js";

export const LIMITS = {
  tasks: 2000, // that are kept
  spare: 200, // above that, before the oldest go
  asked: 500, // that the router is asked about at once
};

const FINAL = new Set(["completed", "failed", "cancelled"]);
const NEW = new Set(["waiting", "queued"]);

function newTask({ task_id: id, name }) {
  return {
    id, name: visible(name || id), executor: "", state: "unknown", agent: null, attempts: 0,
    error: null, since: null, duration: null, seq: 0, rev: 1,
  };
}

/** Calls `changed()` after every change. */
export class Tasks {
  constructor(changed) {
    this.changed = changed;
    this.known = new Map(); // the latest to change last
    this.left = 0; // how many were left out
    this.more = false; // whether there are older ones that were not asked for
    this.ahead = null; // seconds by which this clock is before the router's, as far as is known
    this.rev = 1;
  }

  /** An event, whether it is new or of before the page was opened. */
  event({ type, data, seq, at }) {
    const told = data?.task;
    if (type !== "task_changed" || !told || told.workflow_id) return;
    this.ahead = Math.min(this.ahead ?? Infinity, Date.now() / 1000 - at);
    const task = this.known.get(told.task_id) ?? this.#new(told);
    if (seq <= task.seq) return;
    this.known.delete(task.id);
    this.known.set(task.id, task);
    this.#trim();
    if (told.state === "running") task.since = at;
    const ended = FINAL.has(told.state) && task.since !== null;
    task.duration = ended ? (at - task.since) * 1000 : null;
    if (told.state !== "running") task.since = null;
    this.#set(task, told, seq);
  }

  /** Events are missing, up to `seq`: what had not ended may have. */
  doubt(seq) {
    for (const task of this.known.values()) {
      if (task.seq > seq) this.known.delete(task.id); // of another router
      else if (!FINAL.has(task.state)) this.#set(task, { ...task, state: "unknown" }, task.seq);
    }
  }

  /** Ids of tasks to ask the router about, the newest first. */
  doubtful() {
    return [...this.known.values()].filter(({ state }) => state === "unknown")
      .map(({ id }) => id).reverse().slice(0, LIMITS.asked);
  }

  /** The answer to `task_status`; `asked`: the latest event when it was asked. */
  status(tasks, asked) {
    for (const told of tasks) {
      const task = this.known.get(told.task_id);
      if (!task || asked < task.seq) continue;
      if (told.state !== "running") task.since = null;
      this.#set(task, told, asked);
    }
  }

  /** A page of `task_list`, as of event `seq`. Those that no event told of changed before all others. */
  list(tasks, seq) {
    const older = [];
    for (const told of tasks) {
      if (this.known.has(told.task_id) || told.workflow_id) continue;
      const task = newTask(told);
      if (this.left > 0) this.left -= 1;
      this.#set(task, told, seq);
      older.unshift([task.id, task]);
    }
    this.status(tasks, seq);
    this.known = new Map([...older, ...this.known]);
    this.#trim();
  }

  /** For how many ms the attempt of a task has run, or ran; null: nobody here knows. */
  took(task) {
    if (task.since === null || task.state !== "running") return task.duration;
    return Math.max(0, (Date.now() / 1000 - this.ahead - task.since) * 1000);
  }

  #new(told) {
    // One that has begun, and is not known, was left out, or began before the page did.
    if (!NEW.has(told.state) && this.left > 0) this.left -= 1;
    return newTask(told);
  }

  /** Leave out the oldest: of those that have ended first, then of those that wait. */
  #trim() {
    if (this.known.size <= LIMITS.tasks + LIMITS.spare) return;
    const rank = ({ state }) => (FINAL.has(state) ? 0 : state === "running" ? 2 : 1);
    const oldest = [...this.known.values()].slice(0, -LIMITS.spare)
      .sort((a, b) => rank(a) - rank(b)).slice(0, this.known.size - LIMITS.tasks);
    for (const { id } of oldest) this.known.delete(id);
    this.left += oldest.length;
  }

  #set(task, { state, executor, agent = null, attempts = 0, error = null }, seq) {
    Object.assign(task, { state, agent, attempts, error, seq, executor: executor ?? "" });
    task.rev += 1;
    this.rev += 1;
    this.changed();
  }
}
