// Elements from plain data. Text is always text: nothing here, or anywhere, makes markup of it.

const SVG = "http://www.w3.org/2000/svg";

/** An element: `h("p", { class: "note", onclick: f }, "text", other)`. */
export function h(tag, props = {}, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** The same, of SVG. */
export function svg(tag, props = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Set text only if it is another one: what has not changed is neither drawn nor read out again. */
export function text(element, value) {
  const wanted = String(value);
  if (element.textContent !== wanted) element.textContent = wanted;
}

/** Set, or with null remove, an attribute. */
export function attribute(element, name, value) {
  if (value === null || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

const ROWS = new WeakMap();

/**
 * Make the children of `parent` those of `items`, in order. Elements stay with their key, so that
 * focus and selections survive.
 */
export function keyed(parent, items, keyOf, create, update) {
  const old = ROWS.get(parent) ?? new Map();
  const rows = new Map();
  const keys = items.map((item, index) => keyOf(item, index));
  const wanted = new Set(keys);
  for (const [key, element] of old) if (!wanted.has(key)) element.remove();
  let place = parent.firstChild;
  items.forEach((item, index) => {
    const element = old.get(keys[index]) ?? create(item);
    update(element, item, index);
    if (element === place) place = place.nextSibling;
    else parent.insertBefore(element, place);
    rows.set(keys[index], element);
  });
  ROWS.set(parent, rows);
}

/** A word that a state is shown as: shape and text say it, colour only helps. */
export function chip(state) {
  return h("span", { class: "chip", "data-state": state }, state);
}

/** Change a chip's state. */
export function setChip(element, state) {
  attribute(element, "data-state", state);
  text(element, state);
}
