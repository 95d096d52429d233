// What is wrong with what a page shows: sticks out; contrast below that of WCAG AA; no name; too small.
() => {
  const wrong = new Set();
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width) wrong.add("the page scrolls sideways");
  const brush = Object.assign(document.createElement("canvas"), { width: 1, height: 1 })
    .getContext("2d", { willReadFrequently: true });
  const colour = (told) => {
    brush.clearRect(0, 0, 1, 1);
    brush.fillStyle = told;
    brush.fillRect(0, 0, 1, 1);
    return [...brush.getImageData(0, 0, 1, 1).data];
  };
  const up = (element) => (element ? [element, ...up(element.parentElement)] : []);
  const light = (told) => {
    const [r, g, b] = told.map((v) => v / 255)
      .map((v) => (v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4));
    return .2126 * r + .7152 * g + .0722 * b;
  };
  for (const element of document.querySelectorAll("body *")) {
    const box = element.getBoundingClientRect();
    const style = getComputedStyle(element);
    if (!element.checkVisibility() || box.width < 2 || style.clipPath !== "none") continue;
    const about = `${element.tagName} ${element.className} ${element.textContent.trim().slice(0, 40)}`;
    if (element.matches("a, button, input, textarea, summary")) {
      if (box.height < 24 && !element.closest("p")) wrong.add(`small: ${about}`);
      const named = element.ariaLabel || element.textContent.trim() || element.labels?.length;
      if (!named) wrong.add(`no name: ${about}`);
    }
    const text = [...element.childNodes].some((one) => one.nodeType === 3 && one.data.trim());
    if (!text || element.ariaHidden || element.disabled) continue;
    const grounds = up(element).map((one) => colour(getComputedStyle(one).backgroundColor));
    const ground = light(grounds.find((one) => one[3] > 250).slice(0, 3));
    const ink = light(colour(style.color).slice(0, 3));
    const ratio = (Math.max(ink, ground) + .05) / (Math.min(ink, ground) + .05);
    if (ratio < 4.5) wrong.add(`contrast ${ratio.toFixed(1)}: ${about}`);
  }
  return [...wrong];
}
