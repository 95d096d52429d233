// What is asked of the router. It is shown as done at once, and stays so only if the router agrees:
// a command that is rejected is taken back, with the reason.

import { Unanswered } from "./connection.js";
import { ENDED, nameOf } from "./model.js";

const KINDS = { launch: "Launch", inject: "Injection", terminate: "Termination" };

/**
 * `rejected(command)` is called when one is taken back: with its kind, its `params`, and `why`.
 * `launched(oldId, newId)`: the swarm that was shown already has its name from the router now.
 */
export class Commands {
  constructor(model, connection, rejected, launched) {
    this.model = model;
    this.connection = connection;
    this.rejected = rejected;
    this.launched = launched;
    this.open = new Map(); // by reference
    this.prefix = `web-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`;
    this.count = 0;
  }

  /** Launch a swarm; the id that it is shown under until the router has named it. */
  launch(params) {
    const command = this.#begin("launch", params);
    const nodes = Array.from({ length: params.nodes }, (_, node) => ({ node, state: "pending" }));
    const data = {
      ...params, swarm_id: command.reference, job_id: null, node_count: params.nodes, nodes,
      status: "launching", created: Date.now() / 1000,
    };
    this.model.put(data).pending = command.reference;
    this.#send("swarm_launch", command, (swarm) => this.#named(command, swarm));
    return command.reference;
  }

  #named(command, data) {
    const shown = this.model.swarms.get(command.reference);
    if (!shown) return;
    this.model.remove(shown);
    if (!this.model.swarms.has(data.swarm_id)) this.model.put(data);
    this.launched(command.reference, data.swarm_id);
  }

  /** Give a prompt to nodes of a swarm; null: to all. */
  inject(swarm, prompt, nodes) {
    const params = { swarm_id: swarm.id, prompt };
    if (nodes !== null) params.nodes = nodes;
    const command = this.#begin("inject", params);
    command.shown = this.model.addTurn(swarm, command.reference, null, "sending");
    command.shown.prompt = prompt;
    command.shown.nodes = nodes;
    this.#changed(swarm);
    this.#send("swarm_inject", command, ({ turns }) => this.#queued(command, turns));
  }

  #queued(command, turns) {
    const swarm = this.model.swarms.get(command.params.swarm_id);
    if (!swarm) return;
    swarm.turns.delete(command.reference);
    // Those added last are shown first.
    for (const [node, id] of Object.entries(turns).reverse()) {
      const state = ENDED.has(swarm.data.status) ? "cancelled" : "queued";
      const turn = swarm.turns.get(id) ?? this.model.addTurn(swarm, id, Number(node), state);
      turn.prompt = command.params.prompt;
      turn.rev += 1;
    }
    this.#changed(swarm);
  }

  /** End a swarm. */
  terminate(swarm, reason) {
    const command = this.#begin("terminate", { swarm_id: swarm.id, reason });
    swarm.terminating = command.reference;
    this.#changed(swarm);
    this.#send("swarm_terminate", command, () => {});
  }

  /** An event may be the router's word on a command, sooner than its answer. */
  event(event) {
    const command = this.open.get(event.reference);
    if (!command) return;
    if (event.type === "command_rejected") this.#takeBack(command, event.data.reason);
    else if (event.type === "swarm_launched") this.#named(command, event.data.swarm);
    else if (event.type === "turn_started" && command.kind === "inject") {
      const turn = this.model.swarms.get(event.swarm_id)?.turns.get(event.turn_id);
      if (turn) turn.prompt = command.params.prompt;
      command.begun = true;
    }
  }

  /** Everything that was missed is here: commands without a word were not taken, or nobody knows. */
  settle() {
    for (const command of [...this.open.values()].filter((c) => c.unsure)) {
      const named = command.kind === "launch" && !this.model.swarms.has(command.reference);
      const ending = this.model.swarms.get(command.params.swarm_id)?.data.status;
      const ended = command.kind === "terminate" && (ending === "terminating" || ENDED.has(ending));
      if (named || ended || command.begun) this.#end(command);
      else this.#takeBack(command, `${command.unsure}. If it was taken, what it did will show`);
    }
  }

  #begin(kind, params) {
    this.count += 1;
    const reference = `${this.prefix}-${this.count}`;
    const command = { kind, params, reference, unsure: null, begun: false };
    this.open.set(reference, command);
    return command;
  }

  async #send(method, command, accepted) {
    try {
      const { reference, params } = command;
      accepted(await this.connection.call(method, { ...params, reference }));
      this.#end(command);
    } catch (error) {
      if (!(error instanceof Unanswered)) this.#takeBack(command, error.message);
      else if (this.connection.state === "live") this.#takeBack(command, error.message);
      else command.unsure = error.message;
    }
  }

  #end(command) {
    this.open.delete(command.reference);
    const swarm = this.model.swarms.get(command.params.swarm_id);
    if (!swarm) return;
    swarm.turns.delete(command.reference);
    if (swarm.terminating === command.reference) swarm.terminating = null;
    this.#changed(swarm);
  }

  #takeBack(command, why) {
    if (!this.open.has(command.reference)) return; // event and answer both say it
    const shown = this.model.swarms.get(command.reference);
    if (shown) this.model.remove(shown);
    this.#end(command);
    const swarm = this.model.swarms.get(command.params.swarm_id);
    const what = swarm ? `${KINDS[command.kind]} for ${nameOf(swarm)}` : KINDS[command.kind];
    this.rejected({ ...command, why, title: `${what} was not done` });
  }

  #changed(swarm) {
    swarm.rev += 1;
    this.model.changed();
  }
}
