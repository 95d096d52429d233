// Figures over time, of the latest quarter of an hour. The router keeps samples of them, which all
// pages show alike; of one that keeps none there is what it told since the page was opened.

import { h, keyed, text } from "./dom.js";
import { bytes, clock, short } from "./format.js";
import { Lines } from "./lines.js";

const MOST = 900; // values of a figure
const ROWS = 20; // of the table

const rate = (value) => `${value < 10 ? value.toFixed(1) : short(Math.round(value))}/s`;
const part = (value) => value.toFixed(2);
const count = (value) => short(Math.round(value));

/** `name` of the figure that is kept; `rate`: it counts up, and how quickly is shown. */
const CHARTS = [
  { title: "Tasks completed", name: "swarmc_tasks_completed_total", rate: true, show: rate },
  { title: "Tasks queued", name: "swarmc_tasks_queued", show: count },
  { title: "Tasks running", name: "swarmc_tasks_running", show: count },
  { title: "Tasks failed in all", name: "swarmc_tasks_failed_total", show: count },
  { title: "Turns ended", name: "turns_ended", rate: true, show: rate },
  { title: "Turns running", name: "turns_running", show: count },
  { title: "Injections waiting", name: "turns_queued", show: count },
  { title: "Processors of the router", name: "swarmc_process_busy_processors", show: part },
  { title: "Memory of the router", name: "swarmc_process_memory_bytes", show: bytes },
];

const TURNS = {
  turns_ended: ['swarmc_router_turns_total{outcome="completed"}', 'swarmc_router_turns_total{outcome="failed"}'],
  turns_running: ['swarmc_router_nodes{state="busy"}'],
  turns_queued: ["swarmc_router_turns_queued"],
};

/** Figures as they were told. */
export class Samples {
  constructor(changed) {
    this.changed = changed;
    this.since = 0; // time of the router's latest sample, in seconds since 1970
    this.kept = new Map(CHARTS.map(({ name }) => [name, []]));
    this.text = "";
    this.rev = 1;
  }

  /** The answer to `metrics`. */
  metrics({ text: told, values, history }) {
    this.text = told;
    if (history) this.#history(history);
    else this.#take(values ?? {}, Date.now());
    this.rev += 1;
    this.changed();
  }

  /** The answer to `status`. */
  status({ completed, failed, running, queued }) {
    if (this.since > 0) return; // the router's samples have it
    const values = { turns_ended: completed + failed, turns_running: running, turns_queued: queued };
    this.#take(values, Date.now());
    this.rev += 1;
    this.changed();
  }

  #history({ times, values }) {
    if (this.since === 0 && times.length) {
      for (const points of this.kept.values()) points.length = 0; // of before the router told
    }
    times.forEach((time, index) => {
      if (time <= this.since) return; // two answers have it
      const sum = (names) => names.reduce((total, name) => total + (values[name]?.[index] ?? 0), 0);
      const turns = Object.entries(TURNS).map(([name, names]) => [name, sum(names)]);
      const told = Object.entries(values).map(([name, all]) => [name, all[index]]);
      this.#take(Object.fromEntries([...told, ...turns]), time * 1000);
      this.since = time;
    });
  }

  #take(values, at) {
    for (const [name, points] of this.kept) {
      const value = values[name];
      if (typeof value !== "number" || !Number.isFinite(value)) continue;
      points.push({ at, value });
      if (points.length > MOST) points.shift();
    }
  }

  /** Points of a chart. */
  of(chart) {
    const points = this.kept.get(chart.name);
    if (!chart.rate) return points;
    return points.slice(1).map(({ at, value }, index) => {
      const before = points[index];
      const grown = value - before.value; // a router that began anew counts from 0
      return { at, value: grown < 0 || at <= before.at ? null : (grown * 1000) / (at - before.at) };
    });
  }
}

export class MetricsView {
  constructor() {
    this.charts = CHARTS.map((chart) => ({ chart, lines: new Lines(chart.title, chart.show) }));
    this.none = h("p", { class: "empty" }, "Waiting for the first figures…");
    this.rows = h("tbody");
    this.heads = h("tr");
    this.table = h("details", { class: "table" }, h("summary", {}, `The latest ${ROWS} as a table`),
      h("div", { class: "wide" }, h("table", {}, h("thead", {}, this.heads), this.rows)));
    this.text = h("pre");
    this.all = h("details", { class: "table all", hidden: true },
      h("summary", {}, "All metrics, as Prometheus reads them"), this.text);
    this.link = h("p", { class: "note" });
    this.root = h("article", { class: "metrics", "aria-labelledby": "metrics-title" },
      h("header", { class: "head" }, h("h2", { id: "metrics-title", tabindex: -1 }, "Metrics"), this.link),
      this.none, h("div", { class: "figures" }, ...this.charts.map(({ lines }) => lines.root)),
      this.table, this.all);
    for (const part of [this.table, this.all]) part.addEventListener("toggle", () => this.#closer());
  }

  /**
   * `there`: whether the router tells of metrics; what `status` tells is shown in any case.
   * `token`: whether the router wants one, which a link cannot give it.
   */
  update(samples, there, token) {
    if (this.rev === samples.rev) return;
    if (!this.link.hasChildNodes()) {
      this.link.append("For Prometheus: ", ...(token
        ? [h("code", {}, "/metrics"), ", with the token as ", h("code", {}, "Authorization: Bearer")]
        : [h("a", { href: "/metrics" }, "/metrics")]));
    }
    this.rev = samples.rev;
    this.samples = samples;
    for (const { chart, lines } of this.charts) lines.update(samples.of(chart));
    this.shown = this.charts.filter(({ lines }) => !lines.root.hidden);
    this.none.hidden = this.shown.length > 0;
    this.table.hidden = this.shown.length === 0;
    this.link.hidden = this.all.hidden = !there;
    this.#closer();
  }

  /** What is drawn only where it is open. */
  #closer() {
    if (this.all.open) text(this.text, this.samples.text);
    if (!this.table.open) return;
    keyed(this.heads, [{ chart: { title: "Time" } }, ...this.shown], ({ chart }) => chart.title,
      ({ chart }) => h("th", { scope: "col" }, chart.title), () => {});
    const times = new Map(); // each figure comes with others of its answer
    for (const { chart } of this.shown) {
      for (const { at, value } of this.samples.of(chart).slice(-ROWS)) {
        const key = clock(at / 1000);
        if (!times.has(key)) times.set(key, { key, at });
        if (value !== null) times.get(key)[chart.name] = chart.show(value);
      }
    }
    const latest = [...times.values()].sort((a, b) => b.at - a.at).slice(0, ROWS);
    this.rows.replaceChildren(...latest.map((row) => h("tr", {}, h("th", { scope: "row" }, row.key),
      ...this.shown.map(({ chart }) => h("td", {}, row[chart.name] ?? "")))));
  }
}
