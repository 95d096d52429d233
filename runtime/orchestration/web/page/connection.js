// The connection to the router: JSON-RPC over WebSocket, made again whenever it is lost.

export const PROTOCOL = "codeswarm.router.v1";
const NOT_AUTHORISED = -32102;
const WRONG_PROTOCOL = -32101;
const ANSWER = 30000; // ms for which an answer is waited for
const SILENCE = 10000; // ms without an answer to `status`, after which the connection is dead
const BEAT = 5000; // ms between two `status`
const SLOWEST = 10000; // ms between two tries to connect
/** Events of before the page was opened that it asks for. */
export const HISTORY = 5000;

/** The router said no. `code` is the protocol's. */
export class Refused extends Error {
  constructor(error) {
    super(error.message);
    this.code = error.code;
    this.data = error.data;
  }
}

/** Nothing was sent: there is no connection. */
export class NotConnected extends Error {}

/** Nobody answered: whether it was done is not known. */
export class Unanswered extends Error {}

/**
 * `handlers`: `state(name, detail)` with connecting, live, waiting (detail: ms until the next try),
 * token (one is needed), stopped; `list(swarms, first, seq)`: all swarms as of
 * event `seq`, in place of what was known, which is nothing if it is the first list;
 * `event(event, isNew)`; `caughtUp(complete)`; `status(result)`.
 */
export class Connection {
  constructor(url, handlers) {
    this.url = url;
    this.handlers = handlers;
    this.token = null;
    this.state = "connecting";
    this.last = null; // number of the latest event that was taken
    this.base = 0; // events up to this one are in the list of swarms already
    this.asked = new Map();
    this.next = 1;
    this.tries = 0;
    this.taking = false; // whether events are taken: not between two subscriptions
    this.timer = null;
    this.beats = 0;
  }

  open() {
    clearTimeout(this.timer);
    if (this.socket && this.socket.readyState < WebSocket.CLOSING) return;
    this.#become("connecting");
    const socket = new WebSocket(this.url);
    this.socket = socket;
    socket.onopen = () => this.hello();
    socket.onmessage = ({ data }) => socket === this.socket && this.#receive(data);
    socket.onclose = () => socket === this.socket && this.#lost();
  }

  /** Say who we are; again with a token if one was asked for. */
  hello() {
    const params = { protocol: PROTOCOL };
    if (this.token !== null) params.token = this.token;
    this.#ask("hello", params, (welcome) => {
      this.server = welcome.server;
      this.#synchronise();
    }, (error) => {
      if (error.code === NOT_AUTHORISED) this.#become("token", error.message);
      else if (error.code === WRONG_PROTOCOL) this.#become("stopped", error.message);
      else this.socket?.close();
    });
  }

  /** Ask for something; the answer's result. */
  call(method, params) {
    return new Promise((done, failed) => {
      if (this.state !== "live") failed(new NotConnected("there is no connection to the router"));
      else this.#ask(method, params, done, failed);
    });
  }

  #ask(method, params, done, failed) {
    const id = this.next++;
    const timer = setTimeout(() => {
      if (!this.asked.delete(id)) return;
      failed(new Unanswered(`no answer within ${ANSWER / 1000} s`));
    }, ANSWER);
    this.asked.set(id, { done, failed, timer });
    this.socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
  }

  #receive(data) {
    const found = JSON.parse(data);
    for (const message of Array.isArray(found) ? found : [found]) {
      if (message.method === "event") this.#take(message.params);
      else if (this.asked.has(message.id)) this.#answered(message);
    }
  }

  // Answers are worked on at once, not in a promise's later turn: what follows in the same frame
  // relies on them.
  #answered({ id, result, error }) {
    const { done, failed, timer } = this.asked.get(id);
    this.asked.delete(id);
    clearTimeout(timer);
    if (error) failed(new Refused(error));
    else done(result);
  }

  #take(event) {
    if (!this.taking || event.seq <= this.last) return;
    if (event.seq > Math.max(this.last, this.base) + 1) {
      this.#listAgain(); // one is missing, which the protocol rules out
      return;
    }
    this.last = event.seq;
    this.handlers.event(event, event.seq > this.base);
  }

  #synchronise() {
    if (this.last === null) {
      this.#listAgain();
      return;
    }
    this.#ask("subscribe", { after: this.last }, ({ complete }) => {
      if (!complete) this.#listAgain();
      else this.#live(true);
    }, () => this.socket?.close());
  }

  #listAgain() {
    this.taking = false;
    const failed = () => this.socket?.close();
    this.#ask("swarm_list", {}, ({ seq, swarms }) => {
      this.base = seq;
      const first = this.last === null;
      // Numbers that went back are those of another router, whose past is not ours.
      if (first || this.last > seq) this.last = Math.max(0, seq - HISTORY);
      this.handlers.list(swarms, first, seq);
      this.#ask("subscribe", { after: this.last }, () => this.#live(first), failed);
    }, failed);
  }

  #live(complete) {
    this.taking = true;
    this.tries = 0;
    this.#become("live");
    this.handlers.caughtUp(complete);
    this.beat();
  }

  /** Ask for the router's counts, now and regularly from now on: a dead connection is found so. */
  beat() {
    clearTimeout(this.timer);
    this.beats += 1;
    const beat = this.beats;
    const dead = setTimeout(() => this.#lost(), SILENCE);
    this.#ask("status", {}, (status) => {
      clearTimeout(dead);
      if (beat !== this.beats) return;
      this.handlers.status(status);
      this.timer = setTimeout(() => this.beat(), BEAT);
    }, () => clearTimeout(dead));
  }

  #lost() {
    const socket = this.socket;
    this.socket = null;
    this.taking = false;
    if (socket && socket.readyState < WebSocket.CLOSING) socket.close();
    for (const { failed, timer } of this.asked.values()) {
      clearTimeout(timer);
      failed(new Unanswered("the connection was lost before the router answered"));
    }
    this.asked.clear();
    if (this.state === "stopped") return;
    const wait = Math.min(SLOWEST, 300 * 2 ** this.tries) * (0.75 + Math.random() / 2);
    this.tries += 1;
    this.#become("waiting", wait);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.open(), wait);
  }

  #become(state, detail) {
    this.state = state;
    this.handlers.state(state, detail);
  }
}
