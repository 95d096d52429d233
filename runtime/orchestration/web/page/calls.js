// Host calls of agents, in words: `write(1, "hello") → 5`.

const LONGEST = 2000; // characters of a value
const PLACES = 16; // values of one call

/** A value as it is told: text in quotes, everything else as JSON has it. */
function value(given) {
  const told = typeof given === "bigint" ? String(given) : JSON.stringify(given) ?? "";
  return told.length > LONGEST ? `${told.slice(0, LONGEST)}… (${told.length} characters)` : told;
}

function list(given) {
  if (given === undefined || given === null) return "";
  if (typeof given === "string") return given.slice(0, LONGEST);
  const named = !Array.isArray(given) && typeof given === "object";
  const all = named ? Object.entries(given) : (Array.isArray(given) ? given : [given]);
  const shown = all.slice(0, PLACES)
    .map((one) => (named ? `${one[0]}=${value(one[1])}` : value(one)));
  return shown.join(", ") + (all.length > PLACES ? `, … (${all.length} in all)` : "");
}

/** What was called, with what: of the event `command_started`. */
export function called({ name = "?", module, args }) {
  const from = module && !module.startsWith("wasi_") ? `${module}.` : "";
  return `${list(`${from}${name}`)}(${list(args)})`;
}

/** What came of it: of the event `command_completed`. */
export function returned({ result, error, errno, exit_code: code }) {
  if (error !== undefined && error !== null) return ` ✕ ${list(String(error))}`;
  if (code !== undefined && code !== null) return ` → exit ${list(String(code))}`;
  if (errno !== undefined && errno !== null) return ` → ${list(String(errno))}`;
  const all = result === undefined || result === null ? [] : [result].flat();
  const told = list(all);
  return told === "" ? " ✓" : ` → ${told}`;
}
