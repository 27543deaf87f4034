// Texts with less contrast than WCAG's AA asks for (4.5, or 3 where they are large), each with its ratio.
() => {
  const read = (color) => (color.match(/[\d.]+/g) ?? []).map(Number);
  const over = ([r, g, b, a = 1], under) => [r, g, b].map((part, at) => part * a + under[at] * (1 - a));
  const light = (color) => color.slice(0, 3).map((part) => part / 255)
    .map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (element) => {
    const own = element ? read(getComputedStyle(element).backgroundColor) : [255, 255, 255, 1];
    if (!element || own[3] === undefined || own[3] === 1) return own.slice(0, 3);
    return over(own, behind(element.parentElement));
  };
  const poor = [];
  for (let walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT); walker.nextNode();) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest("script, .sr, .skip, svg")) continue;
    const style = getComputedStyle(element), under = behind(element);
    const [one, other] = [light(over(read(style.color), under)), light(under)].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (other + 0.05);
    if (ratio < (parseFloat(style.fontSize) >= 24 ? 3 : 4.5)) poor.push([walker.currentNode.data.trim().slice(0, 40), ratio]);
  }
  return poor;
}
