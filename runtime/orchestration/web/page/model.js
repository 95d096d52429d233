// What the page knows: swarms as the router told them, what it was asked and has not answered yet,
// and the latest of what agents did. Everything that grows has a bound; what was dropped is counted.

import { called, returned } from "./calls.js";
import { visible } from "./format.js";

export const LIMITS = {
  turns: 100, // of a swarm, or twice the number of its nodes
  pieces: 1000, // of output, of a swarm
  characters: 1_000_000, // of output, of a swarm
  everything: 16_000_000, // characters of output, of all swarms
  points: 120, // of usage, of a swarm
  notes: 100, // about a swarm's life
  merged: 16384, // characters of one piece that more is added to
};

export const ENDED = new Set(["terminated", "failed"]);
const STREAMS = {
  assistant_delta: "stdout", reasoning_delta: "stderr",
  command_started: "command", command_completed: "command",
};
let counter = 0;

/** A turn as it is shown. */
function newTurn(id, node, state) {
  counter += 1;
  return {
    id, node, state, order: counter, attempt: 1, started: null, ended: null, error: null,
    prompt: null, usage: null, calls: null, untold: 0, pieces: [], dropped: 0, characters: 0, rev: 0,
  };
}

/** A swarm: `data` is the router's word, the rest is what was heard since. */
function newSwarm(data) {
  return {
    id: data.swarm_id, data, pending: null, terminating: null, turns: new Map(), notes: [],
    droppedTurns: 0, pieces: 0, characters: 0, points: [], status: null, rev: 1,
    totals: { turns: 0, instructions: 0, milliseconds: 0, bytes: 0 },
  };
}

/** What a swarm is shown as: what was asked of it counts as done until the router says no. */
export function shownStatus(swarm) {
  if (swarm.terminating && !ENDED.has(swarm.data.status)) return "terminating";
  return swarm.data.status;
}

export const nameOf = (swarm) => visible(swarm.data.name || swarm.id);

/** Calls `changed()` after every change, and `said(kind, text)` for what people should be told. */
export class Model {
  constructor(changed, said) {
    this.changed = changed;
    this.said = said;
    this.swarms = new Map();
    this.recent = new Set(); // swarms with output, the latest last
    this.characters = 0;
    this.router = null;
  }

  // -- the router's word -----------------------------------------------------------------------

  /** All swarms, in place of those that were known. */
  list(swarms) {
    const there = new Set(swarms.map((data) => data.swarm_id));
    for (const swarm of this.swarms.values()) {
      if (!there.has(swarm.id) && !swarm.pending) this.remove(swarm);
    }
    for (const data of swarms) {
      const swarm = this.put(data);
      const busy = new Set(data.nodes.filter((n) => n.state === "busy").map((n) => n.node));
      const queued = data.nodes.some((n) => n.queued);
      for (const turn of swarm.turns.values()) {
        if (turn.state === "running" && !busy.has(turn.node)) this.#turn(swarm, turn, "unknown");
        if (turn.state === "queued" && !queued) this.#turn(swarm, turn, "unknown");
      }
    }
    this.changed();
  }

  /** An event. Not `isNew`: the list of swarms has it already, and only output is of interest. */
  event(event, isNew) {
    if (isNew) this.#lifecycle(event);
    const swarm = this.swarms.get(event.swarm_id);
    if (!swarm) return;
    this.#note(swarm, event);
    if (event.turn_id) this.#ofTurn(swarm, event);
    swarm.rev += 1;
    this.changed();
  }

  #lifecycle(event) {
    const data = event.data ?? {};
    if (data.swarm) this.put(data.swarm);
    if (event.type === "swarm_removed") {
      const swarm = this.swarms.get(event.swarm_id);
      if (swarm) this.remove(swarm);
    }
    if (event.type !== "node_changed") return;
    const swarm = this.swarms.get(event.swarm_id);
    if (!swarm) return;
    const { node } = data;
    swarm.data.nodes[node.node] = node;
    if (node.state === "lost") {
      for (const turn of swarm.turns.values()) {
        if (turn.node === node.node && turn.state === "running") {
          this.#turn(swarm, turn, "interrupted");
        }
      }
    }
  }

  /** A swarm as it is now, known before or not. */
  put(data) {
    let swarm = this.swarms.get(data.swarm_id);
    if (!swarm) {
      swarm = newSwarm(data);
      this.swarms.set(swarm.id, swarm);
    }
    swarm.data = data;
    if (ENDED.has(data.status)) {
      swarm.terminating = null;
      for (const turn of swarm.turns.values()) {
        if (["queued", "running", "interrupted"].includes(turn.state)) {
          this.#turn(swarm, turn, "cancelled");
        }
      }
    }
    swarm.rev += 1;
    this.changed();
    return swarm;
  }

  /** Forget a swarm. */
  remove(swarm) {
    this.characters -= swarm.characters;
    this.recent.delete(swarm);
    this.swarms.delete(swarm.id);
    this.changed();
  }

  // -- turns and their output ------------------------------------------------------------------

  #ofTurn(swarm, event) {
    const data = event.data ?? {};
    let turn = swarm.turns.get(event.turn_id);
    if (!turn) turn = this.addTurn(swarm, event.turn_id, event.node, "running");
    const kind = STREAMS[event.type];
    if (kind) this.#piece(swarm, turn, event, kind, data);
    else if (event.type === "turn_started") {
      if (turn.started !== null && turn.attempt === (data.attempt ?? 1)) {
        this.#forget(swarm, turn); // its worker was only away, and tells all of it anew
        turn.pieces.length = 0;
      }
      turn.started = event.at;
      turn.attempt = data.attempt ?? 1;
      this.#turn(swarm, turn, "running");
    } else if (event.type === "usage") this.#usage(swarm, turn, data);
    else if (event.type === "turn_complete") {
      turn.ended = event.at;
      turn.error = data.error;
      swarm.totals.turns += 1;
      this.#turn(swarm, turn, data.outcome);
      this.said("turn", data.outcome);
    }
    turn.rev += 1;
  }

  /** A turn that is known from now on. */
  addTurn(swarm, id, node, state) {
    const turn = newTurn(id, node, state);
    swarm.turns.set(id, turn);
    const most = Math.max(LIMITS.turns, 2 * swarm.data.node_count);
    while (swarm.turns.size > most) {
      const oldest = swarm.turns.values().next().value;
      this.#forget(swarm, oldest);
      swarm.turns.delete(oldest.id);
      swarm.droppedTurns += 1;
    }
    return turn;
  }

  #turn(swarm, turn, state) {
    turn.state = state;
    turn.rev += 1;
    swarm.rev += 1;
  }

  #piece(swarm, turn, event, kind, data) {
    const agent = data.agent ?? null;
    if (event.type === "command_completed") {
      this.#returned(swarm, turn, agent, data);
      return;
    }
    const command = kind === "command";
    const text = command ? called(data) : String(data.text ?? "");
    const last = turn.pieces.at(-1);
    const together = last && !command && last.kind === kind && last.agent === agent &&
      last.attempt === turn.attempt && last.text.length + text.length <= LIMITS.merged;
    if (together) this.#grow(swarm, turn, last, text);
    else this.#push(swarm, turn, kind, agent, text).open = command ? data.name ?? "" : null;
  }

  /** A call's end stands with its beginning, if that is still there. */
  #returned(swarm, turn, agent, data) {
    const name = data.name ?? "";
    const call = turn.pieces.findLast((piece) => piece.open === name && piece.agent === agent &&
      piece.attempt === turn.attempt) ?? this.#push(swarm, turn, "command", agent, called(data));
    call.open = null;
    call.failed = data.error !== undefined && data.error !== null;
    this.#grow(swarm, turn, call, returned(data));
  }

  #push(swarm, turn, kind, agent, text) {
    counter += 1;
    const piece = { id: counter, kind, agent, text: "", attempt: turn.attempt, rev: 0, open: null };
    turn.pieces.push(piece);
    swarm.pieces += 1;
    this.#grow(swarm, turn, piece, text);
    return piece;
  }

  #grow(swarm, turn, piece, text) {
    piece.text += text;
    piece.rev += 1;
    turn.characters += text.length;
    swarm.characters += text.length;
    this.characters += text.length;
    this.recent.delete(swarm);
    this.recent.add(swarm);
    while (swarm.pieces > LIMITS.pieces || swarm.characters > LIMITS.characters) this.#drop(swarm);
    while (this.characters > LIMITS.everything) this.#drop(this.recent.values().next().value);
  }

  /** Drop the oldest piece of a swarm. */
  #drop(swarm) {
    for (const turn of swarm.turns.values()) {
      const piece = turn.pieces.shift();
      if (!piece) continue;
      turn.dropped += 1;
      turn.rev += 1;
      this.#shrink(swarm, turn, 1, piece.text.length);
      if (swarm.pieces === 0) this.recent.delete(swarm);
      return;
    }
  }

  #forget(swarm, turn) {
    this.#shrink(swarm, turn, turn.pieces.length, turn.characters);
  }

  #shrink(swarm, turn, pieces, characters) {
    swarm.pieces -= pieces;
    turn.characters -= characters;
    swarm.characters -= characters;
    this.characters -= characters;
  }

  #usage(swarm, turn, data) {
    const { instructions = 0, milliseconds = 0, bytes = 0 } = data;
    turn.usage = { instructions, milliseconds, bytes };
    turn.calls = data.host_calls ?? null;
    turn.untold = turn.calls === null ? 0 : turn.calls - (data.host_calls_told ?? turn.calls);
    swarm.points.push({ turn: turn.id, node: turn.node, instructions, milliseconds, bytes });
    if (swarm.points.length > LIMITS.points) swarm.points.shift();
    for (const [name, value] of Object.entries(turn.usage)) swarm.totals[name] += value;
  }

  // -- a swarm's life --------------------------------------------------------------------------

  #note(swarm, event) {
    const text = describe(swarm, event);
    if (text === null) return;
    const gone = ["lost", "failed"].includes(event.data?.node?.state);
    const bad = event.type === "command_rejected" || gone;
    counter += 1;
    swarm.notes.push({ id: counter, at: event.at, text, bad });
    if (swarm.notes.length > LIMITS.notes) swarm.notes.shift();
  }
}

/** An event of a swarm's life in words; null if it is none. Busy nodes are shown elsewhere. */
function describe(swarm, event) {
  const data = event.data ?? {};
  if (event.type === "command_rejected") return `${data.command} rejected: ${data.reason}`;
  if (data.swarm) {
    if (data.swarm.status === swarm.status) return null;
    swarm.status = data.swarm.status;
    return swarm.status + (data.swarm.reason ? `: ${data.swarm.reason}` : "");
  }
  if (event.type !== "node_changed") return null;
  swarm.nodeStates ??= new Map();
  const { node, state, host, pid } = data.node;
  const quiet = (s) => (s === "busy" ? "idle" : s);
  if (quiet(swarm.nodeStates.get(node)) === quiet(state)) return null;
  swarm.nodeStates.set(node, state);
  if (data.reason) return `node ${node} ${state}: ${data.reason}`;
  const where = state === "idle" && host ? ` (${host}, process ${pid})` : "";
  return `node ${node} ${state}${where}`;
}
