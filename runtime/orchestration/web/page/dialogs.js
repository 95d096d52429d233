// Dialogs: launch and terminate swarms, deploy and cancel workflows, exclude workers, enter the
// token. They are the browser's own: focus stays inside, Escape closes, and goes back to where it
// came from.

import { h, text } from "./dom.js";
import { visible } from "./format.js";
import { nameOf } from "./model.js";

const EXAMPLE = `{
  "name": "two steps",
  "symbols": [
    {"name": "first", "type": "action"},
    {"name": "second", "type": "action",
     "dependencies": ["first"]}
  ]
}`;

function field(label, control, hint) {
  const parts = [h("label", { for: control.id }, label), control];
  if (hint) {
    control.setAttribute("aria-describedby", `${control.id}-hint`);
    parts.push(h("p", { class: "hint", id: `${control.id}-hint` }, hint));
  }
  return h("div", { class: "field" }, ...parts);
}

/**
 * Show a dialog with a form; `submit(read())` when it is sent. `read` may throw an error, which is
 * shown, and the dialog stays.
 */
function open({ id, title, label, kind = "primary", leave = "Cancel", body, read = () => {}, submit }) {
  const wrong = h("p", { class: "error wrong", role: "alert" });
  const form = h("form", {}, h("h2", { id: `${id}-title` }, title), ...body, wrong,
    h("div", { class: "bar" },
      h("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, leave),
      h("button", { type: "submit", class: kind }, label)));
  const dialog = h("dialog", { id, "aria-labelledby": `${id}-title` }, form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    let found;
    try {
      found = read();
    } catch (error) {
      text(wrong, error.message);
      return;
    }
    dialog.close();
    submit(found);
  });
  dialog.addEventListener("close", () => dialog.remove());
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
  const trace = h("input", { id: "launch-trace", type: "checkbox", checked: given.trace !== false });
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
      h("label", { class: "check", for: "launch-trace" }, trace, "Tell of host calls"),
    ],
    read: () => {
      const params = { nodes: nodes.valueAsNumber, agents: agents.valueAsNumber };
      if (name.value.trim()) params.name = name.value.trim();
      if (module.value.trim()) params.module = module.value.trim();
      if (prompt.value) params.prompt = prompt.value;
      if (fuel.value) params.fuel = fuel.valueAsNumber;
      if (!trace.checked) params.trace = false;
      return params;
    },
    submit,
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
    read: () => reason.value.trim(), submit,
  });
}

/** Ask for a workflow's manifest; `read` makes one of what was typed. */
export function deployDialog(read, submit, given = "") {
  const manifest = h("textarea", { id: "deploy-manifest", rows: 12, spellcheck: false,
    required: true, autofocus: true, placeholder: EXAMPLE });
  manifest.value = given;
  const file = h("input", { id: "deploy-file", type: "file", accept: ".json,application/json" });
  file.addEventListener("change", async () => {
    const [chosen] = file.files;
    if (chosen) manifest.value = await chosen.text();
  });
  open({
    id: "deploy-dialog", title: "Deploy a workflow", label: "Deploy",
    body: [
      field("Manifest", manifest, "JSON. Manifests in YAML and TOML: swarmc deploy workflow.yaml"),
      field("Or a file", file),
    ],
    read: () => read(manifest.value), submit: (found) => submit(found, manifest.value),
  });
}

/** Ask whether a workflow is to stop, and why. */
export function cancelDialog(workflow, submit) {
  const reason = h("input", { id: "cancel-reason", type: "text", maxlength: 1024,
    autocomplete: "off", autofocus: true });
  open({
    id: "cancel-dialog", title: "Cancel this workflow?", label: "Cancel it", kind: "danger",
    leave: "Let it run",
    body: [
      h("p", {}, "Tasks of ", h("b", {}, workflow.data.name), " that wait are not begun, those that ",
        "run are stopped, and what was done is rolled back where the manifest says how."),
      field("Reason", reason, "May be empty."),
    ],
    read: () => reason.value.trim(), submit,
  });
}

/** Ask whether a worker is to get nothing more, and why. */
export function excludeDialog({ id, data }, submit) {
  const reason = h("input", { id: "exclude-reason", type: "text", maxlength: 1024,
    autocomplete: "off", autofocus: true });
  open({
    id: "exclude-dialog", title: "Exclude this worker?", label: "Exclude", kind: "danger",
    body: [
      h("p", {}, "What ", h("b", {}, visible(data.name || id)), " runs is run elsewhere, and it gets nothing ",
        "more, ever: whoever joins with its name or its key is refused. This cannot be undone; the ",
        "machine can come back with another name and another key."),
      field("Reason", reason, "Shown to whoever is refused. May be empty."),
    ],
    read: () => reason.value.trim(), submit,
  });
}

/** Ask for the router's token. One dialog at a time. */
export function tokenDialog(message, submit) {
  const there = document.getElementById("token-dialog");
  if (there) {
    text(there.querySelector(".why"), message);
    return;
  }
  const token = h("input", { id: "token", type: "password", autocomplete: "off", required: true,
    autofocus: true });
  open({
    id: "token-dialog", title: "This router needs a token", label: "Connect",
    body: [
      h("p", { class: "error why" }, message),
      field("Token", token, "Kept until this tab is closed, and only here."),
    ],
    read: () => token.value, submit,
  });
}
