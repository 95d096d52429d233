// What is asked of the router. It is shown as done at once, and stays so only if the router agrees:
// a command that is rejected is taken back, with the reason.

import { Unanswered } from "./connection.js";

/**
 * Commands that have no answer yet. One is `{kind, title, method, params}` and, all of them may be
 * left out: `again`, whether it may be asked twice and is done once; `accepted(result)`; `event(event)`, for the router's word that came as an event;
 * `done()`, whether one can see that it was done, though its answer was lost; `ended()`, called
 * when it is shown as it is, however it ended. `rejected(command)` is called when one is taken
 * back, with `why`.
 */
export class Commands {
  constructor(connection, rejected) {
    this.connection = connection;
    this.rejected = rejected;
    this.open = new Map(); // by reference
    this.prefix = `web-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`;
    this.count = 0;
  }

  /** A reference for a command, by which answers and events are known to be its. */
  reference() {
    this.count += 1;
    return `${this.prefix}-${this.count}`;
  }

  /** Ask for something. */
  async send(command) {
    this.open.set(command.reference, command);
    const { method, params, reference } = command;
    try {
      const result = await this.connection.call(method, { ...params, reference });
      command.accepted?.(result);
      this.#end(command);
    } catch (error) {
      // Without a connection nobody knows; when there is one again, it will show.
      if (error instanceof Unanswered && this.connection.state !== "live") command.unsure = error.message;
      else this.#takeBack(command, error.message);
    }
  }

  /** An event may be the router's word on a command, sooner than its answer. */
  event(event) {
    const command = this.open.get(event.reference);
    if (!command) return;
    if (event.type === "command_rejected") this.#takeBack(command, event.data.reason);
    else command.event?.(event);
  }

  /** Everything that was missed is here: commands without a word were not taken, or nobody knows. */
  settle() {
    for (const command of [...this.open.values()].filter((one) => one.unsure)) {
      if (command.done?.()) this.#end(command);
      else if (command.again) this.send({ ...command, unsure: undefined });
      else this.#takeBack(command, `${command.unsure}. If it was taken, what it did will show`);
    }
  }

  #end(command) {
    this.open.delete(command.reference);
    command.ended?.();
  }

  #takeBack(command, why) {
    if (!this.open.has(command.reference)) return; // event and answer both say it
    this.#end(command);
    this.rejected({ ...command, why });
  }
}
