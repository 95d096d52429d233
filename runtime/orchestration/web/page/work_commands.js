// Deploy and cancel workflows, exclude workers: how they are shown before the router has said anything.

import { visible } from "./format.js";
import { expected } from "./work.js";

const MOST = 15_000_000; // characters of a manifest

/** `deployed(oldId, newId)`: the workflow that was shown already has its name from the router now. */
export class WorkCommands {
  constructor(work, commands, deployed) {
    this.work = work;
    this.commands = commands;
    this.deployed = deployed;
  }

  /** Deploy a workflow; the id that it is shown under until the router has named it. */
  deploy(manifest, given) {
    const reference = this.commands.reference();
    const about = {
      workflow_id: reference, name: manifest.name, version: manifest.version ?? "1.0.0",
      state: "running", started: Date.now() / 1000,
    };
    const tasks = expected(manifest, reference);
    this.work.status({ ...about, tasks }, 0).pending = reference;
    const named = (id) => {
      if (!this.work.workflows.has(reference)) return;
      this.work.remove(reference);
      if (!this.work.workflows.get(id)?.loaded) {
        this.work.status({ ...about, workflow_id: id, tasks: expected(manifest, id) }, 0);
      }
      this.deployed(reference, id);
    };
    this.commands.send({
      kind: "deploy", title: `Deployment of ${manifest.name}`, method: "workflow_deploy",
      params: { manifest, workflow_id: newId() }, given, reference, again: true,
      accepted: ({ workflow_id: id }) => named(id),
      event: ({ type, data }) => type === "workflow_changed" && named(data.workflow.workflow_id),
      done: () => !this.work.workflows.has(reference),
      ended: () => this.work.workflows.has(reference) && this.work.remove(reference),
    });
    return reference;
  }

  /** Stop a workflow, which is rolled back then. */
  cancel(workflow, reason) {
    const reference = this.commands.reference();
    const { id } = workflow;
    const known = () => this.work.workflows.get(id);
    let taken = false;
    workflow.cancelling = reference;
    this.work.touched(workflow);
    this.commands.send({
      kind: "cancel", title: `Cancelling ${workflow.data.name}`, method: "workflow_cancel",
      params: { workflow_id: id, reason }, reference,
      done: () => !known() || known().data.state !== "running",
      accepted: ({ cancelled }) => (taken = cancelled),
      ended: () => {
        // What was taken takes time: it counts until an event says more.
        if (taken || known()?.cancelling !== reference) return;
        known().cancelling = null;
        this.work.touched(known());
      },
    });
  }
}

/** An id for a run: asked twice because the first answer was lost, the router runs it once. */
function newId() {
  const parts = [...crypto.getRandomValues(new Uint32Array(4))];
  return `run-${parts.map((part) => part.toString(16).padStart(8, "0")).join("")}`;
}

/** Have a worker get nothing more. */
export function exclude(work, commands, { id, data }, reason) {
  const reference = commands.reference();
  const known = () => work.workers.get(id);
  work.excluding(id, reference);
  commands.send({
    kind: "exclude", title: `Exclusion of ${visible(data.name || id)}`, method: "worker_exclude",
    params: { worker_id: id, reason }, reference,
    done: () => !known() || known().data.state === "excluded",
    ended: () => known()?.excluding === reference && work.excluding(id, null),
  });
}

/** A manifest from what was typed. @throws {Error} with what is wrong with it. */
export function readManifest(given) {
  if (given.length > MOST) throw new Error("This is more than the router takes in one message");
  let manifest = null;
  try {
    manifest = JSON.parse(given);
  } catch (error) {
    throw new Error(`This is not JSON: ${error.message}. For YAML and TOML there is: swarmc deploy`);
  }
  const { name, symbols } = manifest ?? {};
  if (typeof name !== "string" || !Array.isArray(symbols) || symbols.length === 0) {
    throw new Error("A workflow is an object with a name and a list of symbols");
  }
  const plain = symbols.every((one) => typeof one?.name === "string" &&
    (one.dependencies === undefined || Array.isArray(one.dependencies)));
  if (!plain) throw new Error("Every symbol needs a name; its dependencies are a list of names");
  return manifest;
}
