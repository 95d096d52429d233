// The swarms, those that live first, the latest of them on top.

import { attribute, chip, h, keyed, setChip, text } from "./dom.js";
import { plural, uptime, whole } from "./format.js";
import { ENDED, nameOf, shownStatus } from "./model.js";

const SHOWN = 200; // swarms
const CELLS = 32; // nodes of each

export const SIGNS = {
  pending: "○", starting: "◔", idle: "●", busy: "▶", lost: "✕", failed: "✕", ended: "–",
};

const find = (id) => document.getElementById(id);

export class SwarmList {
  constructor(changed) {
    this.root = find("swarms");
    this.search = find("search");
    this.search.addEventListener("input", changed);
    this.rows = new WeakMap();
  }

  update(model, selected) {
    const words = this.search.value.trim().toLowerCase();
    const all = [...model.swarms.values()];
    const fits = (swarm) => [swarm.data.name ?? "", swarm.id, swarm.data.job_id ?? "",
      shownStatus(swarm)].some((value) => value.toLowerCase().includes(words));
    const found = all.filter((swarm) => words === "" || fits(swarm)).sort(order);
    const shown = found.slice(0, SHOWN);
    keyed(this.root, shown, (swarm) => swarm.id, (swarm) => this.#create(swarm),
      (row, swarm) => this.#row(row, swarm, selected));
    const none = find("no-swarms");
    none.hidden = found.length > 0;
    text(none, all.length ? "No swarm matches." : "No swarms.");
    const more = find("more-swarms");
    more.hidden = found.length === shown.length;
    text(more, `${plural(found.length - shown.length, "swarm")} more: find them by name or status`);
    this.#counts(all);
    this.#router(model.router);
  }

  #create(swarm) {
    const parts = {
      name: h("span", { class: "name" }), state: chip("launching"),
      cells: h("span", { class: "cells", "aria-hidden": true }), meta: h("span", { class: "meta" }),
    };
    parts.link = h("a", { href: `#/swarm/${swarm.id}` },
      parts.name, parts.state, parts.cells, parts.meta);
    const row = h("li", {}, parts.link);
    this.rows.set(row, parts);
    return row;
  }

  #row(row, swarm, selected) {
    const parts = this.rows.get(row);
    attribute(parts.link, "aria-current", swarm.id === selected ? "page" : null);
    if (parts.rev === swarm.rev) return;
    parts.rev = swarm.rev;
    const { nodes, node_count } = swarm.data;
    const status = shownStatus(swarm);
    text(parts.name, nameOf(swarm));
    setChip(parts.state, status);
    row.classList.toggle("over", ENDED.has(status));
    row.classList.toggle("unsure", Boolean(swarm.pending || swarm.terminating));
    keyed(parts.cells, nodes.slice(0, CELLS), (node) => node.node, () => h("i"),
      (cell, node) => attribute(cell, "data-state", node.state));
    const lost = nodes.filter((node) => node.state === "lost").length;
    const words = [plural(node_count, "node")];
    if (lost) words.push(`${whole(lost)} lost`);
    const turns = nodes.reduce((sum, node) => sum + (node.turns ?? 0), 0);
    words.push(swarm.pending ? "waiting for the router" : plural(turns, "turn"));
    text(parts.meta, words.join(" · "));
  }

  #counts(swarms) {
    const sums = { idle: 0, busy: 0, lost: 0, starting: 0 };
    for (const swarm of swarms) {
      for (const { state } of swarm.data.nodes) {
        const name = state === "pending" ? "starting" : state;
        if (name in sums && !ENDED.has(swarm.data.status)) sums[name] += 1;
      }
    }
    const shown = Object.entries(sums).filter(([name, n]) => n || name === "idle" || name === "busy");
    keyed(find("counts"), shown, ([name]) => name,
      ([name]) => h("div", { "data-state": name }, h("dt", {}, name), h("dd")),
      (element, [, count]) => text(element.lastChild, whole(count)));
  }

  #router(status) {
    if (!status) return;
    const words = [status.server, `up ${uptime(status.uptime)}`,
      `${plural(status.completed, "turn")} completed`, `${whole(status.failed)} failed`,
      `${whole(status.queued)} waiting`, plural(status.clients, "client")];
    text(find("router"), words.join(" · "));
  }
}

function order(a, b) {
  const over = ENDED.has(a.data.status) - ENDED.has(b.data.status);
  return over || (b.data.created ?? 0) - (a.data.created ?? 0) || (a.id < b.id ? -1 : 1);
}
