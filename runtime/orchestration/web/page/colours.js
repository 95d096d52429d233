// Light and dark: as the system has it, until one is chosen. theme.js takes it up at the next start.

import { text } from "./dom.js";
import { storage } from "./storage.js";

const THEME = "swarmc.theme";
const THEMES = ["system", "light", "dark"];

/** Have a button go from one to the next. */
export function colours(button) {
  const root = document.documentElement;
  const kept = storage("localStorage");
  const theme = () => root.dataset.theme ?? "system";
  const show = () => {
    text(button, { system: "◐", light: "☀", dark: "☾" }[theme()]);
    button.setAttribute("aria-label", `Colours: ${theme()}. Change`);
    button.title = `Colours: ${theme()}`;
  };
  button.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length];
    if (next === "system") delete root.dataset.theme;
    else root.dataset.theme = next;
    if (next === "system") kept.remove(THEME);
    else kept.set(THEME, next);
    show();
  });
  show();
}
