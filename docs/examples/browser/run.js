// Runs a WASI command in this page. What it needs of the system comes from a shim in JavaScript:
// arguments, environment, standard streams, clocks, randomness. It gets no files and no network.
import { ConsoleStdout, File, OpenFile, WASI } from "@bjorn3/browser_wasi_shim";

// Keeps what a program writes to a stream.
class Kept {
  parts = [];

  descriptor() {
    return new ConsoleStdout((bytes) => this.parts.push(bytes.slice()));
  }

  async bytes() {
    return new Uint8Array(await new Blob(this.parts).arrayBuffer());
  }
}

// Run a module (an ArrayBuffer) on a fresh instance.
//
// argv starts with the program's name; stdin is a string or a Uint8Array. Gives the exit code,
// which is null if it trapped, the message of the trap, and the bytes of both streams.
export async function runCommand(module, { argv = ["module.wasm"], env = {}, stdin = "" } = {}) {
  const input = typeof stdin === "string" ? new TextEncoder().encode(stdin) : stdin;
  const stdout = new Kept();
  const stderr = new Kept();
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const descriptors = [
    new OpenFile(new File(input, { readonly: true })),
    stdout.descriptor(),
    stderr.descriptor(),
  ];
  const wasi = new WASI(argv, variables, descriptors, { debug: false });
  const { instance } = await WebAssembly.instantiate(module, {
    wasi_snapshot_preview1: wasi.wasiImport,
  });
  let exitCode = null;
  let trap = null;
  try {
    exitCode = wasi.start(instance);
  } catch (error) {
    if (!(error instanceof WebAssembly.RuntimeError)) {
      throw error;
    }
    trap = error.message;
  }
  return { exitCode, trap, stdout: await stdout.bytes(), stderr: await stderr.bytes() };
}

// The form of index.html.
export function connect(form) {
  const field = (name) => form.elements.namedItem(name);
  const show = (text) => {
    field("output").value = text;
  };
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const [file] = field("module").files;
    const words = field("args").value.split(/\s+/).filter((word) => word);
    show("running…");
    try {
      const argv = [file.name, ...words];
      const result = await runCommand(await file.arrayBuffer(), { argv, stdin: field("stdin").value });
      const decode = (bytes) => new TextDecoder().decode(bytes);
      const end = result.trap === null ? `exit code ${result.exitCode}` : `trap: ${result.trap}`;
      show(`${decode(result.stdout)}${decode(result.stderr)}${end}`);
    } catch (error) {
      show(`${error}`);
    }
  });
}
