// Launch, inject and terminate: how they are shown before the router has said anything.

import { ENDED, nameOf } from "./model.js";

/** `launched(oldId, newId)`: the swarm that was shown already has its name from the router now. */
export class SwarmCommands {
  constructor(model, commands, launched) {
    this.model = model;
    this.commands = commands;
    this.launched = launched;
  }

  /** Launch a swarm; the id that it is shown under until the router has named it. */
  launch(params) {
    const reference = this.commands.reference();
    const nodes = Array.from({ length: params.nodes }, (_, node) => ({ node, state: "pending" }));
    const data = {
      ...params, swarm_id: reference, job_id: null, node_count: params.nodes, nodes,
      status: "launching", created: Date.now() / 1000,
    };
    this.model.put(data).pending = reference;
    const shown = () => this.model.swarms.get(reference);
    const named = (swarm) => {
      if (!shown()) return;
      this.model.remove(shown());
      if (!this.model.swarms.has(swarm.swarm_id)) this.model.put(swarm);
      this.launched(reference, swarm.swarm_id);
    };
    this.commands.send({
      kind: "launch", title: "Launch", method: "swarm_launch", params, reference, accepted: named,
      event: ({ type, data: told }) => type === "swarm_launched" && named(told.swarm),
      done: () => !shown(),
      ended: () => shown() && this.model.remove(shown()),
    });
    return reference;
  }

  /** Give a prompt to nodes of a swarm; null: to all. */
  inject(swarm, prompt, nodes) {
    const reference = this.commands.reference();
    const params = { swarm_id: swarm.id, prompt };
    if (nodes !== null) params.nodes = nodes;
    Object.assign(this.model.addTurn(swarm, reference, null, "sending"), { prompt, nodes });
    this.#changed(swarm);
    let begun = false;
    this.commands.send({
      kind: "inject", title: `Injection for ${nameOf(swarm)}`, method: "swarm_inject", params,
      reference, accepted: ({ turns }) => this.#queued(reference, params, turns),
      event: ({ type, turn_id: id }) => {
        if (type !== "turn_started") return;
        const turn = this.model.swarms.get(params.swarm_id)?.turns.get(id);
        if (turn) turn.prompt = prompt;
        begun = true;
      },
      done: () => begun,
      ended: () => this.#end(params.swarm_id, (one) => one.turns.delete(reference)),
    });
  }

  #queued(reference, { swarm_id: id, prompt }, turns) {
    const swarm = this.model.swarms.get(id);
    if (!swarm) return;
    swarm.turns.delete(reference);
    // Those added last are shown first.
    for (const [node, name] of Object.entries(turns).reverse()) {
      const state = ENDED.has(swarm.data.status) ? "cancelled" : "queued";
      const turn = swarm.turns.get(name) ?? this.model.addTurn(swarm, name, Number(node), state);
      turn.prompt = prompt;
      turn.rev += 1;
    }
    this.#changed(swarm);
  }

  /** End a swarm. */
  terminate(swarm, reason) {
    const reference = this.commands.reference();
    const { id } = swarm;
    swarm.terminating = reference;
    this.#changed(swarm);
    this.commands.send({
      kind: "terminate", title: `Termination for ${nameOf(swarm)}`, method: "swarm_terminate",
      params: { swarm_id: id, reason }, reference,
      done: () => {
        const status = this.model.swarms.get(id)?.data.status;
        return status === "terminating" || ENDED.has(status);
      },
      ended: () => this.#end(id, (one) => {
        if (one.terminating === reference) one.terminating = null;
      }),
    });
  }

  #end(id, act) {
    const swarm = this.model.swarms.get(id);
    if (!swarm) return;
    act(swarm);
    this.#changed(swarm);
  }

  #changed(swarm) {
    swarm.rev += 1;
    this.model.changed();
  }
}
