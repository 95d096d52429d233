// Dialogs: launch a swarm, terminate one, enter the token. They are the browser's own: focus stays
// inside, Escape closes, and goes back to where it came from.

import { h, text } from "./dom.js";
import { nameOf } from "./model.js";

function field(label, control, hint) {
  const parts = [h("label", { for: control.id }, label), control];
  if (hint) {
    control.setAttribute("aria-describedby", `${control.id}-hint`);
    parts.push(h("p", { class: "hint", id: `${control.id}-hint` }, hint));
  }
  return h("div", { class: "field" }, ...parts);
}

/** Show a dialog with a form; `submit(form)` when it is sent, `closed()` however it ends. */
function open({ id, title, label, kind = "primary", body, submit, closed = () => {} }) {
  const form = h("form", {}, h("h2", { id: `${id}-title` }, title), ...body,
    h("div", { class: "bar" },
      h("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, "Cancel"),
      h("button", { type: "submit", class: kind }, label)));
  const dialog = h("dialog", { id, "aria-labelledby": `${id}-title` }, form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    dialog.close();
    submit(form);
  });
  dialog.addEventListener("close", () => {
    dialog.remove();
    closed();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

const number = (id, value, max, more = {}) =>
  h("input", { id, type: "number", min: 1, max, step: 1, value, inputmode: "numeric", ...more });

/** Ask for a swarm; `given` has what was typed before, if it was rejected. */
export function launchDialog(submit, given = {}) {
  const line = (id, value, more = {}) => h("input", {
    id, type: "text", value, autocomplete: "off", spellcheck: false, ...more,
  });
  const nodes = number("launch-nodes", given.nodes ?? 1, 1024, { required: true });
  const agents = number("launch-agents", given.agents ?? 1, 1 << 20, { required: true });
  const fuel = number("launch-fuel", given.fuel ?? null, Number.MAX_SAFE_INTEGER,
    { placeholder: "no limit" });
  const module = line("launch-module", given.module ?? "",
    { maxlength: 4096, placeholder: "the configured one" });
  const name = line("launch-name", given.name ?? "", { maxlength: 128, autofocus: true });
  const prompt = h("textarea", { id: "launch-prompt", rows: 3, spellcheck: false });
  prompt.value = given.prompt ?? "";
  open({
    id: "launch-dialog", title: "Launch a swarm", label: "Launch",
    body: [
      field("Name", name, "For people. May be empty."),
      h("div", { class: "pair" }, field("Nodes", nodes), field("Agents on each", agents)),
      field("Module", module, "Path of a WASI command on the router’s machine."),
      field("Prompt", prompt, "Its agents find it in SWARM_PROMPT, in every turn."),
      field("Fuel", fuel, "Instructions that an agent may execute in a turn."),
    ],
    submit: () => {
      const params = { nodes: nodes.valueAsNumber, agents: agents.valueAsNumber };
      if (name.value.trim()) params.name = name.value.trim();
      if (module.value.trim()) params.module = module.value.trim();
      if (prompt.value) params.prompt = prompt.value;
      if (fuel.value) params.fuel = fuel.valueAsNumber;
      submit(params);
    },
  });
}

/** Ask whether a swarm is to end, and why. */
export function terminateDialog(swarm, submit) {
  const reason = h("input", { id: "terminate-reason", type: "text", maxlength: 1024,
    autocomplete: "off", autofocus: true });
  open({
    id: "terminate-dialog", title: "Terminate this swarm?", label: "Terminate", kind: "danger",
    body: [
      h("p", {}, "The agents of ", h("b", {}, nameOf(swarm)),
        " stop, and injections that wait are dropped. This cannot be undone."),
      field("Reason", reason, "May be empty."),
    ],
    submit: () => submit(reason.value.trim()),
  });
}

/** Ask for the router's token. One dialog at a time. */
export function tokenDialog(message, submit, closed) {
  const there = document.getElementById("token-dialog");
  if (there) {
    text(there.querySelector(".error"), message);
    return;
  }
  const token = h("input", { id: "token", type: "password", autocomplete: "off", required: true,
    autofocus: true });
  open({
    id: "token-dialog", title: "This router needs a token", label: "Connect",
    body: [
      h("p", { class: "error" }, message),
      field("Token", token, "Kept until this tab is closed, and only here."),
    ],
    submit: () => submit(token.value), closed,
  });
}
