// What agents do, turn by turn, the latest first. A turn's output grows downwards and is followed.

import { attribute, chip, h, keyed, setChip, text } from "./dom.js";
import { bytes, clock, instant, milliseconds, plural, ranges, short, visible, whole } from "./format.js";

const SHOWN = 60; // turns
const LONGEST = 6000; // characters of a piece that are shown at once
const STATES = { unknown: "ended, unseen", sending: "sending" };
const KINDS = { command: "call" };

export class Stream {
  constructor() {
    this.cards = new WeakMap();
    this.list = h("ol", { class: "turns", reversed: true });
    this.none = h("p", { class: "empty" });
    this.note = h("p", { class: "note dropped", hidden: true });
    this.root = h("section", { class: "stream", "aria-labelledby": "stream-title" },
      h("h3", { id: "stream-title" }, "Turns"), this.none, this.list, this.note);
  }

  update(swarm, only) {
    const fits = (turn) => only.size === 0 || turn.node === null || only.has(turn.node);
    const turns = [...swarm.turns.values()].filter(fits).reverse();
    const shown = turns.slice(0, SHOWN);
    keyed(this.list, shown, (turn) => turn.id, (turn) => this.#create(turn),
      (card, turn) => this.cards.get(card).update(turn));
    this.none.hidden = turns.length > 0;
    text(this.none, only.size ? "These nodes have run no turn." : "Nothing was injected yet.");
    const older = turns.length - shown.length + swarm.droppedTurns;
    this.note.hidden = older === 0;
    text(this.note, `${plural(older, "older turn")} not shown`);
  }

  #create(turn) {
    const card = new Card(turn);
    this.cards.set(card.root, card);
    return card.root;
  }
}

class Card {
  constructor(turn) {
    this.state = chip(turn.state);
    this.where = h("span", { class: "where" });
    this.time = h("time");
    this.used = h("span", { class: "used" });
    this.prompt = h("p", { class: "prompt", hidden: true });
    this.untold = h("p", { class: "note untold", hidden: true });
    this.error = h("p", { class: "error", hidden: true });
    this.dropped = h("p", { class: "note dropped", hidden: true });
    this.pieces = h("div", { class: "pieces" });
    this.output = h("div", { class: "output", hidden: true }, this.dropped, this.pieces);
    this.root = h("li", { class: "turn" },
      h("header", {}, this.where, this.state, this.time, this.used),
      this.prompt, this.output, this.untold, this.error);
    this.rev = -1;
    this.dom = new WeakMap();
  }

  update(turn) {
    if (this.rev === turn.rev) return;
    this.rev = turn.rev;
    text(this.where, where(turn));
    attribute(this.root, "data-turn", turn.id);
    setChip(this.state, STATES[turn.state] ?? turn.state);
    attribute(this.state, "data-state", turn.state);
    const at = turn.started;
    text(this.time, at === null ? "" : clock(at));
    attribute(this.time, "datetime", at === null ? null : instant(at));
    text(this.used, used(turn));
    attribute(this.used, "title", turn.usage && `${whole(turn.usage.instructions)} instructions`);
    this.prompt.hidden = turn.prompt === null;
    text(this.prompt, visible(turn.prompt ?? ""));
    this.untold.hidden = turn.untold <= 0;
    text(this.untold, `${plural(turn.untold, "host call")} more, which the worker did not tell of`);
    this.error.hidden = !turn.error;
    text(this.error, turn.error ?? "");
    this.#output(turn);
  }

  #output(turn) {
    this.output.hidden = turn.pieces.length === 0 && turn.dropped === 0;
    this.dropped.hidden = turn.dropped === 0;
    text(this.dropped, `${plural(turn.dropped, "earlier piece")} of output dropped`);
    const box = this.output;
    const follow = box.scrollHeight - box.scrollTop - box.clientHeight < 8;
    keyed(this.pieces, turn.pieces, (piece) => piece.id, (piece) => this.#piece(piece),
      (element, piece) => this.#fill(element, piece, turn.state === "running"));
    const long = turn.characters > 400 || turn.pieces.length > 8;
    attribute(box, "tabindex", long ? 0 : null);
    attribute(box, "role", long ? "group" : null);
    attribute(box, "aria-label", long ? `Output of ${where(turn)}` : null);
    if (follow && turn.state === "running") box.scrollTop = box.scrollHeight;
  }

  #piece(piece) {
    const agent = piece.agent === null ? "" : `agent ${piece.agent}`;
    const label = piece.kind === "stdout" ? "hidden" : "kind";
    const retried = piece.attempt > 1 ? h("span", { class: "kind" }, `attempt ${piece.attempt}`) : null;
    const body = h("pre", { dir: "auto" });
    const element = h("div", { class: `piece ${piece.kind}` },
      h("span", { class: "who" }, agent, h("span", { class: label }, ` ${KINDS[piece.kind] ?? piece.kind}`), retried), body);
    this.dom.set(element, { body, rev: null, all: false });
    return element;
  }

  #fill(element, piece, running) {
    const dom = this.dom.get(element);
    dom.running = running;
    const open = piece.open === null ? "" : running ? " …" : " (did not return)";
    const rev = `${piece.rev}${open}`;
    if (dom.rev === rev) return;
    dom.rev = rev;
    element.classList.toggle("failed", piece.failed === true);
    const hidden = dom.all ? 0 : Math.max(0, piece.text.length - LONGEST);
    const shown = visible(piece.text.slice(0, piece.text.length - hidden)).replace(/\n$/, "");
    text(dom.body, shown + open);
    if (hidden > 0 && !dom.more) {
      dom.more = h("button", { type: "button", class: "quiet", onclick: () => {
        dom.all = true;
        dom.rev = null;
        this.#fill(element, piece, dom.running);
        dom.body.tabIndex = -1;
        dom.body.focus();
      } });
      element.append(dom.more);
    }
    if (dom.more) {
      dom.more.hidden = hidden === 0;
      text(dom.more, `Show ${whole(hidden)} more characters`);
    }
  }
}

function where(turn) {
  if (turn.node !== null) return `Node ${turn.node}`;
  return turn.nodes ? `Nodes ${ranges(turn.nodes)}` : "All nodes";
}

function used(turn) {
  const parts = [];
  if (turn.attempt > 1) parts.push(`attempt ${turn.attempt}`);
  if (turn.usage) {
    parts.push(`${short(turn.usage.instructions)} instr`, milliseconds(turn.usage.milliseconds),
      bytes(turn.usage.bytes));
  }
  if (turn.calls) parts.push(plural(turn.calls, "host call"));
  return parts.join(" · ");
}
