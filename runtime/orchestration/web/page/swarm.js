// One swarm: what it is, its nodes, what is injected into them, what they do with it.

import { Usage } from "./charts.js";
import { attribute, chip, h, keyed, setChip, text } from "./dom.js";
import { clock, instant, plural, ranges, whole } from "./format.js";
import { SIGNS } from "./list.js";
import { ENDED, nameOf, shownStatus } from "./model.js";
import { Stream } from "./stream.js";

const TILES = 24; // nodes that are shown with their words; more are shown as a grid of numbers

/** `actions`: `inject(swarm, prompt, nodes)`, `terminate(swarm)`. */
export class SwarmView {
  constructor(swarm, actions, changed) {
    this.id = swarm.id;
    this.actions = actions;
    this.changed = changed;
    this.only = new Set(); // nodes that were chosen; none: all
    this.swarm = swarm;
    this.usage = new Usage();
    this.stream = new Stream();
    this.#head();
    this.#nodes(swarm);
    this.#composer();
    this.notes = h("ol", { class: "notes" });
    const life = h("section", { class: "life", "aria-labelledby": "life-title" },
      h("h3", { id: "life-title" }, "Lifecycle"), this.notes);
    this.root = h("article", { class: "swarm", "aria-labelledby": "swarm-title" }, this.header,
      h("div", { class: "columns" },
        h("div", { class: "work" }, this.nodesPart, this.form, this.stream.root),
        h("div", { class: "rail" }, this.usage.root, life)));
  }

  #head() {
    this.title = h("h2", { id: "swarm-title", tabindex: -1 });
    this.state = chip("launching");
    this.facts = h("dl", { class: "facts" });
    this.reason = h("p", { class: "reason", hidden: true });
    this.end = h("button", { type: "button", class: "danger", id: "terminate",
      onclick: () => this.actions.terminate(this.swarm) }, "Terminate");
    this.header = h("header", { class: "head" },
      h("a", { class: "back", href: "#/" }, "‹ Swarms"),
      h("div", { class: "title" }, this.title, this.state, this.end), this.reason, this.facts);
  }

  #nodes(swarm) {
    const grid = swarm.data.node_count > TILES;
    this.tiles = h("div", { class: grid ? "nodes grid" : "nodes", role: "group",
      "aria-label": "Nodes: choose those to watch and to inject into" });
    this.nodesPart = h("section", { "aria-labelledby": "nodes-title" },
      h("h3", { id: "nodes-title" }, "Nodes"), this.tiles);
    this.tile = grid ? bare : full;
  }

  #composer() {
    this.prompt = h("textarea", { id: "prompt", rows: 2, required: true, spellcheck: false,
      placeholder: "What its agents read on standard input", "aria-describedby": "targets" });
    this.targets = h("span", { id: "targets" });
    this.all = h("button", { type: "button", class: "quiet", hidden: true,
      onclick: () => this.#choose(null) }, "All nodes");
    this.send = h("button", { type: "submit", class: "primary", id: "inject" }, "Inject");
    this.form = h("form", { class: "composer", "aria-label": "Inject" },
      h("label", { for: "prompt" }, "Inject"), this.prompt,
      h("div", { class: "bar" }, this.targets, this.all, this.send));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#inject();
    });
    this.prompt.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.form.requestSubmit();
    });
  }

  #inject() {
    const nodes = this.only.size ? [...this.only].sort((a, b) => a - b) : null;
    this.actions.inject(this.swarm, this.prompt.value, nodes);
    this.prompt.value = "";
    this.prompt.focus();
  }

  /** Put a prompt back that was not taken, unless another one is being written. */
  restore(prompt) {
    if (this.prompt.value === "") this.prompt.value = prompt;
  }

  #choose(node) {
    if (node === null) {
      this.only.clear();
      this.prompt.focus();
    } else if (!this.only.delete(node)) this.only.add(node);
    this.rev = -1;
    this.changed();
  }

  update(swarm) {
    this.swarm = swarm;
    if (this.rev === swarm.rev) return;
    this.rev = swarm.rev;
    const status = shownStatus(swarm);
    const over = ENDED.has(status);
    text(this.title, nameOf(swarm));
    setChip(this.state, status);
    this.root.classList.toggle("over", over);
    this.end.hidden = over;
    this.end.disabled = status === "terminating" || Boolean(swarm.pending);
    this.reason.hidden = !swarm.data.reason || !over;
    text(this.reason, swarm.data.reason ?? "");
    this.#facts(swarm);
    keyed(this.tiles, swarm.data.nodes, (node) => node.node, (node) => this.#tile(node),
      (tile, node) => this.#fill(tile, node));
    this.form.hidden = over;
    this.send.disabled = Boolean(swarm.pending) || status === "terminating";
    this.all.hidden = this.only.size === 0;
    const chosen = ranges(this.only);
    text(this.targets, this.only.size === 0
      ? `To ${swarm.data.node_count === 1 ? "its node" : `all ${whole(swarm.data.node_count)} nodes`}`
      : `To node${this.only.size > 1 ? "s" : ""} ${chosen}`);
    this.usage.update(swarm, this.only);
    this.stream.update(swarm, this.only);
    keyed(this.notes, [...swarm.notes].reverse(), (note) => note.id, (note) => h("li",
      { class: note.bad ? "bad" : null },
      h("time", { datetime: instant(note.at) }, clock(note.at)), ` ${note.text}`), () => {});
  }

  #facts(swarm) {
    const { data } = swarm;
    const facts = [
      ["Id", swarm.pending ? "waiting for the router" : swarm.id], ["Job", data.job_id],
      ["Module", data.module], ["Agents", `${whole(data.agents ?? 1)} on each node`],
      ["Launched", data.created ? clock(data.created) : null],
      ["Ended", data.ended ? clock(data.ended) : null], ["Prompt", data.prompt],
    ].filter(([, value]) => value);
    keyed(this.facts, facts, ([name]) => name,
      ([name]) => h("div", { "data-fact": name }, h("dt", {}, name), h("dd", { dir: "auto" })),
      (element, [, value]) => text(element.lastChild, value));
  }

  #tile(node) {
    return h("button", { type: "button", class: "tile", "data-node": node.node,
      onclick: () => this.#choose(node.node) },
      h("span", { class: "number" }, String(node.node)), h("span", { class: "sign", "aria-hidden": true }),
      h("span", { class: "state" }), h("span", { class: "more" }));
  }

  #fill(tile, node) {
    attribute(tile, "data-state", node.state);
    attribute(tile, "aria-pressed", String(this.only.has(node.node)));
    const [number, sign, first, second] = tile.children;
    text(number, node.node);
    text(sign, SIGNS[node.state]);
    this.tile(tile, node, first, second);
  }
}

const words = (node) => [plural(node.turns ?? 0, "turn"), node.host].filter(Boolean).join(" · ");

const state = (node) => node.state + (node.queued ? `, ${whole(node.queued)} waiting` : "");

function full(tile, node, first, second) {
  text(first, state(node));
  text(second, words(node));
  attribute(tile, "title", node.targets?.length ? `runs on ${node.targets.join(", ")}` : null);
}

function bare(tile, node) {
  const label = `Node ${node.node}, ${state(node)}, ${words(node)}`;
  attribute(tile, "title", label);
  attribute(tile, "aria-label", label);
}
