// Puts the page together: events change the models, and at most once a frame the page is drawn.

import { colours } from "./colours.js";
import { Commands } from "./commands.js";
import { Connection } from "./connection.js";
import {
  cancelDialog, deployDialog, excludeDialog, launchDialog, terminateDialog, tokenDialog,
} from "./dialogs.js";
import { attribute, h, text } from "./dom.js";
import { SwarmList } from "./list.js";
import { MetricsView, Samples } from "./metrics.js";
import { Model, nameOf } from "./model.js";
import { Announcer, notice } from "./notices.js";
import { storage } from "./storage.js";
import { SwarmView } from "./swarm.js";
import { SwarmCommands } from "./swarm_commands.js";
import { Tasks } from "./tasks.js";
import { TasksView } from "./tasks_view.js";
import { Upkeep } from "./upkeep.js";
import { Work } from "./work.js";
import { WorkCommands, exclude, readManifest } from "./work_commands.js";
import { WorkersView } from "./workers.js";
import { WorkflowView } from "./workflow.js";
import { WorkflowList } from "./workflows.js";

const TOKEN = "swarmc.token";
const kept = storage("sessionStorage");
const find = (id) => document.getElementById(id);

// -- what is shown -----------------------------------------------------------------------------

const ONE = { swarm: "swarms", workflow: "workflows" };
const TITLES = { swarms: "swarmc", workflows: "Workflows – swarmc", tasks: "Tasks – swarmc",
  workers: "Workers – swarmc", metrics: "Metrics – swarmc" };
const WHOLE = new Set(["tasks", "workers", "metrics"]); // parts without a list beside them

/** The part of the page, and the id of the one of its things that is looked at, or null. */
function route() {
  const [, name = "", id = null] = /^#\/(\w*)(?:\/(.+))?$/.exec(location.hash) ?? [];
  if (name in ONE && id !== null) return { section: ONE[name], id };
  return { section: name in TITLES ? name : "swarms", id: null };
}

let drawing = false;
let view = null;

function changed() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    draw();
  });
}

function draw() {
  const { section, id } = route();
  const whole = WHOLE.has(section);
  Object.assign(document.body.dataset, { section, view: id !== null || whole ? "one" : "list" });
  for (const link of find("sections").children) {
    attribute(link, "aria-current", link.dataset.to === section ? "page" : null);
  }
  find("launch").hidden = section !== "swarms";
  find("deploy").hidden = section !== "workflows" || upkeep.there.workflows === false;
  list.update(model, section === "swarms" ? id : null);
  workflows.update(work, section === "workflows" ? id : null, upkeep.there.workflows);
  const title = { swarms: drawSwarm, workflows: drawWorkflow, tasks: drawTasks,
    workers: drawWorkers, metrics: drawMetrics }[section](id) ?? TITLES[section];
  if (document.title !== title) document.title = title;
}

/** Have `main` show a view: the one that it shows, or a new one. */
function show(kind, id, create) {
  if (view?.kind !== kind || view.id !== id) {
    view = { kind, id, part: create() };
    find("main").replaceChildren(view.part.root);
  }
  return view.part;
}

function empty(...why) {
  view = null;
  const main = find("main");
  const told = h("p", { class: why.length > 1 ? "empty first" : "empty" }, ...why);
  if (main.textContent !== told.textContent) main.replaceChildren(told);
}

/** A command as it is typed for this router. */
function typed(command) {
  const token = connection.token === null ? "" : " --token-file FILE";
  return `${command} --router ${scheme}://${location.host}${token}`;
}

/** The focus was on what is gone: it goes to what is shown, or, of a list, to where one came from. */
function refocus(from) {
  const at = document.activeElement;
  if (at && at !== document.body && at.checkVisibility()) return;
  const rows = [...document.querySelectorAll(".rows a")].filter((row) => row.checkVisibility());
  const one = document.body.dataset.view === "one";
  (one ? find("main") : rows.find((row) => row.hash === from) ?? find("main")).focus();
}

function drawSwarm(id) {
  const swarm = model.swarms.get(id);
  if (!swarm) {
    const none = model.swarms.size === 0;
    if (id === null && !synchronised) empty("Loading…");
    else if (id === null && none) {
      empty("No swarms yet. Press Launch, or type ",
        h("code", {}, typed("swarmc launch --nodes 4 module.wasm")));
    } else if (id === null) empty("Choose a swarm to see what it does.");
    else empty(synchronised ? "This swarm is not known here. It may have ended long ago." : "Loading…");
    return null;
  }
  show("swarm", id, () => new SwarmView(swarm, actions, changed)).update(swarm);
  return `${nameOf(swarm)} – swarmc`;
}

function drawWorkflow(id) {
  if (id !== null) upkeep.view(id);
  const workflow = work.workflows.get(id);
  if (!workflow) {
    const known = upkeep.there.workflows !== false && !upkeep.missing.has(id);
    const none = upkeep.there.workflows && work.workflows.size === 0;
    if (id === null && none) {
      empty("No workflows yet. Press Deploy, or type ", h("code", {}, typed("swarmc deploy workflow.yaml")));
    } else if (id === null) empty(upkeep.there.workflows ? "Choose a workflow to see its tasks." : "");
    else empty(known ? "Loading…" : "This workflow is not known here.");
    return null;
  }
  show("workflow", id, () => new WorkflowView(id, actions, changed)).update(workflow, work);
  return `${workflow.data.name} – swarmc`;
}

function drawTasks() {
  show("tasks", null, () => new TasksView(changed, typed))
    .update(tasks, work, upkeep.there.workflows, model.router?.tasks);
}

function drawWorkers() {
  show("workers", null, () => new WorkersView(actions.exclude, typed)).update(work, upkeep.there.workers);
}

function drawMetrics() {
  show("metrics", null, () => new MetricsView()).update(samples, upkeep.there.metrics,
    connection.token !== null);
}

// -- the router --------------------------------------------------------------------------------

let synchronised = false;
const announcer = new Announcer();
const model = new Model(changed, (_, outcome) => announcer.turn(outcome));
const work = new Work(changed);
const tasks = new Tasks(changed);
const samples = new Samples(changed);
const list = new SwarmList(changed);
const workflows = new WorkflowList(changed);
const scheme = location.protocol === "https:" ? "wss" : "ws";

const connection = new Connection(`${scheme}://${location.host}/ws`, {
  state: showState,
  list: (swarms, first, seq) => {
    model.list(swarms);
    upkeep.missed();
    if (!first) tasks.doubt(seq);
  },
  event: (event, isNew) => {
    model.event(event, isNew);
    if (isNew) work.event(event);
    tasks.event(event);
    commands.event(event);
  },
  caughtUp: () => {
    synchronised = true;
    if (connection.token !== null) kept.set(TOKEN, connection.token);
    upkeep.caughtUp();
    changed();
  },
  status: (status) => {
    model.router = { ...status, server: connection.server };
    samples.status(status);
    commands.settle();
    changed();
  },
});

const upkeep = new Upkeep(connection, work, tasks, samples, route, changed);
const commands = new Commands(connection, rejected);
const swarmCommands = new SwarmCommands(model, commands, renamed("swarm"));
const workCommands = new WorkCommands(work, commands, renamed("workflow"));

/** What is shown under a name of the page's own has its name from the router now. */
function renamed(kind) {
  return (old, id) => {
    if (location.hash === `#/${kind}/${old}`) location.replace(`#/${kind}/${id}`);
  };
}

const STATES = {
  connecting: "connecting", live: "live", waiting: "connection lost, trying again",
  token: "a token is needed", stopped: "not connected",
};

function showState(state, detail) {
  const link = find("link");
  link.dataset.state = state;
  document.body.dataset.link = state;
  // While it is lost, "connecting" would only flicker.
  const lost = link.dataset.lost === "yes" && state === "connecting";
  link.dataset.lost = state === "waiting" || lost ? "yes" : "no";
  text(find("link-text"), lost ? STATES.waiting : STATES[state]);
  find("retry").hidden = !["waiting", "token"].includes(state);
  if (state === "stopped") notice("This page and the router do not understand each other:", detail);
  if (state === "token") askForToken(detail);
}

function askForToken(message) {
  kept.remove(TOKEN);
  const first = connection.token === null;
  tokenDialog(first ? "" : message, (token) => {
    connection.token = token;
    if (connection.state === "token") connection.hello();
  });
}

// -- what people do ----------------------------------------------------------------------------

const actions = {
  launch: (params) => {
    location.hash = `#/swarm/${swarmCommands.launch(params)}`;
  },
  inject: (swarm, prompt, nodes) => swarmCommands.inject(swarm, prompt, nodes),
  terminate: (swarm) => terminateDialog(swarm, (reason) => {
    swarmCommands.terminate(swarm, reason);
    find("main").focus(); // the button that was pressed cannot be pressed again
  }),
  deploy: (manifest, given) => {
    location.hash = `#/workflow/${workCommands.deploy(manifest, given)}`;
  },
  cancel: (workflow) => cancelDialog(workflow, (reason) => {
    workCommands.cancel(workflow, reason);
    find("main").focus();
  }),
  exclude: (worker) => excludeDialog(worker, (reason) => {
    exclude(work, commands, worker, reason);
    find("main").focus();
  }),
};

const launch = (given) => launchDialog(actions.launch, given);
const deploy = (given) => deployDialog(readManifest, actions.deploy, given);

/** A command was taken back: say why, and give back what was typed. */
function rejected({ kind, params, given, title, why, reference }) {
  if (kind === "inject" && view?.id === params.swarm_id) view.part.restore(params.prompt);
  if (location.hash === `#/swarm/${reference}`) location.replace("#/");
  if (location.hash === `#/workflow/${reference}`) location.replace("#/workflows");
  const again = { launch: ["Edit", () => launch(params)], deploy: ["Edit", () => deploy(given)] };
  notice(`${title} was not done:`, why, again[kind] ?? null);
}

find("launch").addEventListener("click", () => launch());
find("deploy").addEventListener("click", () => deploy());
find("retry").addEventListener("click", () => {
  if (connection.state === "token") askForToken("");
  else connection.open();
});
find("skip").addEventListener("click", (event) => {
  event.preventDefault();
  find("main").focus();
});
window.addEventListener("online", () => connection.state === "waiting" && connection.open());
window.addEventListener("hashchange", ({ oldURL }) => {
  draw();
  refocus(new URL(oldURL).hash);
  if (matchMedia("(max-width: 760px)").matches) window.scrollTo(0, 0);
});

colours(find("theme"));
draw();
connection.token = kept.get(TOKEN);
connection.open();
