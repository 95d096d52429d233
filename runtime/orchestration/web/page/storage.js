// What a browser keeps for the page. Where it keeps nothing, the page works without.

/** `storage("sessionStorage")`: of this tab; `storage("localStorage")`: of this browser. */
export function storage(kind) {
  const guarded = (act) => {
    try {
      return act(window[kind]);
    } catch (error) {
      console.info(`${kind} is not there:`, error.message);
      return null;
    }
  };
  return {
    get: (name) => guarded((kept) => kept.getItem(name)),
    set: (name, value) => guarded((kept) => kept.setItem(name, value)),
    remove: (name) => guarded((kept) => kept.removeItem(name)),
  };
}
