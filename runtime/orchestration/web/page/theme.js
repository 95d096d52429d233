// Before anything is drawn: the theme that was chosen here last. Only "light" and "dark" are kept.
"use strict";
(() => {
  let theme = null;
  try {
    theme = localStorage.getItem("swarmc.theme");
  } catch {
    theme = null; // storage is off: the system's theme, then
  }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
})();
