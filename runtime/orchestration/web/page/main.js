// Puts the page together: events change the model, and at most once a frame the page is drawn.

import { Commands } from "./commands.js";
import { Connection } from "./connection.js";
import { launchDialog, terminateDialog, tokenDialog } from "./dialogs.js";
import { h, text } from "./dom.js";
import { SwarmList } from "./list.js";
import { Model, nameOf } from "./model.js";
import { Announcer, notice } from "./notices.js";
import { storage } from "./storage.js";
import { SwarmView } from "./swarm.js";

const TOKEN = "swarmc.token";
const THEME = "swarmc.theme";
const tab = storage("sessionStorage");
const browser = storage("localStorage");
const find = (id) => document.getElementById(id);

// -- drawing -----------------------------------------------------------------------------------

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

const selected = () => {
  const found = /^#\/swarm\/(.+)$/.exec(location.hash);
  return found ? found[1] : null;
};

function draw() {
  const id = selected();
  list.update(model, id);
  const swarm = id === null ? null : model.swarms.get(id);
  document.body.dataset.view = id === null ? "list" : "swarm";
  const main = find("main");
  if (!swarm) {
    view = null;
    const why = missing(id);
    if (main.textContent !== why) main.replaceChildren(h("p", { class: "empty" }, why));
  } else {
    if (view?.id !== id) {
      view = new SwarmView(swarm, actions, changed);
      main.replaceChildren(view.root);
    }
    view.update(swarm);
  }
  const title = swarm ? `${nameOf(swarm)} – swarmc` : "swarmc";
  if (document.title !== title) document.title = title;
}

function missing(id) {
  if (id === null) return "Choose a swarm to see what it does.";
  return synchronised ? "This swarm is not known here. It may have ended long ago." : "Loading…";
}

// -- the router --------------------------------------------------------------------------------

let synchronised = false;
const announcer = new Announcer();
const model = new Model(changed, (_, outcome) => announcer.turn(outcome));
const list = new SwarmList(changed);
const scheme = location.protocol === "https:" ? "wss" : "ws";

const connection = new Connection(`${scheme}://${location.host}/ws`, {
  state: showState,
  list: (swarms) => model.list(swarms),
  event: (event, isNew) => {
    model.event(event, isNew);
    commands.event(event);
  },
  caughtUp: () => {
    synchronised = true;
    if (connection.token !== null) tab.set(TOKEN, connection.token);
    changed();
  },
  status: (status) => {
    model.router = { ...status, server: connection.server };
    commands.settle();
    changed();
  },
});

const commands = new Commands(model, connection, rejected, (old, id) => {
  if (selected() === old) location.replace(`#/swarm/${id}`);
});

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
  tab.remove(TOKEN);
  const first = connection.token === null;
  tokenDialog(first ? "" : message, (token) => {
    connection.token = token;
    if (connection.state === "token") connection.hello();
  });
}

// -- what people do ----------------------------------------------------------------------------

const actions = {
  launch: (params) => {
    location.hash = `#/swarm/${commands.launch(params)}`;
  },
  inject: (swarm, prompt, nodes) => commands.inject(swarm, prompt, nodes),
  terminate: (swarm) => terminateDialog(swarm, (reason) => commands.terminate(swarm, reason)),
};

/** A command was taken back: say why, and give back what was typed. */
function rejected(command) {
  const { kind, params, title, why, reference } = command;
  if (kind === "inject" && view?.id === params.swarm_id) view.restore(params.prompt);
  if (kind === "launch" && selected() === reference) location.replace("#/");
  const again = kind === "launch" ? ["Edit", () => launchDialog(actions.launch, params)] : null;
  notice(`${title}:`, why, again);
}

find("launch").addEventListener("click", () => launchDialog(actions.launch));
find("retry").addEventListener("click", () => {
  if (connection.state === "token") askForToken("");
  else connection.open();
});
find("skip").addEventListener("click", (event) => {
  event.preventDefault();
  find("main").focus();
});
window.addEventListener("online", () => connection.state === "waiting" && connection.open());
window.addEventListener("hashchange", () => {
  draw();
  if (matchMedia("(max-width: 760px)").matches) window.scrollTo(0, 0);
});

// -- light and dark ----------------------------------------------------------------------------

const THEMES = ["system", "light", "dark"];

function showTheme() {
  const theme = document.documentElement.dataset.theme ?? "system";
  const button = find("theme");
  text(button, { system: "◐", light: "☀", dark: "☾" }[theme]);
  button.setAttribute("aria-label", `Colours: ${theme}. Change`);
  button.title = `Colours: ${theme}`;
}

find("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const next = THEMES[(THEMES.indexOf(root.dataset.theme ?? "system") + 1) % THEMES.length];
  if (next === "system") delete root.dataset.theme;
  else root.dataset.theme = next;
  if (next === "system") browser.remove(THEME);
  else browser.set(THEME, next);
  showTheme();
});

showTheme();
draw();
connection.token = tab.get(TOKEN);
connection.open();
