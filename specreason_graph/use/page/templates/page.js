// One small label for whatever is pointed at, and each run's parts brought to life.

function label() {
  const box = Object.assign(document.createElement("div"), { className: "tip", hidden: true });
  box.setAttribute("aria-live", "polite");
  document.body.append(box);
  let current = null;
  const hide = () => {
    current?.classList.remove("current");
    box.hidden = true;
  };
  const show = (element, text) => {
    hide();
    current = element;
    current.classList.add("current");
    box.textContent = text;
    box.hidden = false;
    const place = element.getBoundingClientRect(), wide = document.documentElement.clientWidth;
    box.style.left = `${Math.max(8, Math.min(place.left, wide - box.offsetWidth - 8)) + scrollX}px`;
    box.style.top = `${place.bottom + 8 + scrollY}px`;
  };
  return { show, hide };
}

function lanes(svg, tip) {
  const seconds = (part) => ((parseFloat(part) / 100) * svg.dataset.seconds).toFixed(2);
  svg.addEventListener("pointerover", ({ target }) => {
    if (target.tagName !== "rect") return;
    const [role, fate] = target.classList, x = parseFloat(target.getAttribute("x"));
    const what = target.dataset.step ? `step ${target.dataset.step}: ${role}, ${fate.replace("-", " ")}` : "answer";
    tip.show(target, `${what}, ${seconds(x)} to ${seconds(x + parseFloat(target.getAttribute("width")))} s`);
  });
  svg.addEventListener("pointerleave", tip.hide);
}

const tip = label();

function begin() {
  for (const run of document.querySelectorAll("article.run")) {
    const data = JSON.parse(document.getElementById(`${run.id}-data`).textContent);
    if (data.judging) judgeAgain(run, data.judging);
    heat(run, data.drafted, tip);
    run.querySelectorAll("svg.bars").forEach((svg) => lanes(svg, tip));
  }
  for (const time of document.querySelectorAll("time[data-seconds]")) {
    time.textContent = new Date(1000 * time.dataset.seconds).toLocaleTimeString();
  }
}

begin();
