// One small label for whatever is pointed at, and each run's parts brought to life.

function label() {
  const box = Object.assign(document.createElement("div"), { className: "tip" });
  box.setAttribute("aria-live", "polite");
  document.body.append(box);
  let current = null;
  const hide = () => {
    current?.classList.remove("current");
    current = null;
    box.textContent = ""; // it is not hidden, so that a screen reader hears what comes
  };
  const place = () => {
    const at = current.getBoundingClientRect(), wide = document.documentElement.clientWidth;
    box.style.left = `${Math.max(8, Math.min(at.left, wide - box.offsetWidth - 8)) + scrollX}px`;
    box.style.top = `${at.bottom + 8 + scrollY}px`;
  };
  const show = (element, text) => {
    hide();
    current = element;
    current.classList.add("current");
    box.textContent = text;
    place();
  };
  const follow = () => (current?.isConnected ? place() : hide());
  return { show, hide, follow };
}

function lanes(svg, tip) {
  const seconds = (part) => ((parseFloat(part) / 100) * svg.dataset.seconds).toFixed(svg.dataset.seconds < 1000 ? 2 : 0);
  svg.addEventListener("pointerover", ({ target }) => {
    if (target.tagName !== "rect") return;
    const [role, fate] = target.classList, x = parseFloat(target.getAttribute("x"));
    const what = target.dataset.step ? `step ${target.dataset.step}: ${role}, ${fate.replace("-", " ")}` : "the answer";
    tip.show(target, `${what}, ${seconds(x)} to ${seconds(x + parseFloat(target.getAttribute("width")))} s`);
  });
  svg.addEventListener("pointerleave", tip.hide);
}

const tip = label();
const alive = new WeakSet();

function once(element, bring) {
  if (alive.has(element)) return;
  alive.add(element);
  bring();
}

// Of a page that follows its run again and again; what is alive stays so.
function begin() {
  for (const run of document.querySelectorAll("article.run")) {
    const data = JSON.parse(document.getElementById(`${run.id}-data`).textContent);
    if (data.judging) judgeAgain(run, data.judging);
    heat(run, data.drafted, tip);
    run.querySelectorAll("svg.bars").forEach((svg) => once(svg, () => lanes(svg, tip)));
  }
  for (const time of document.querySelectorAll("time[data-seconds]")) {
    const at = new Date(1000 * time.dataset.seconds), isToday = at.toDateString() === new Date().toDateString();
    time.dateTime = at.toISOString();
    time.textContent = isToday ? at.toLocaleTimeString() : at.toLocaleString();
  }
  tip.follow();
}

begin();
