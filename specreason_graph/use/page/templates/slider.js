// The slider judges the recorded steps again, and says from where on nothing is known any more.

function shows(number, step) {
  const digits = Math.max(0, -Math.floor(Math.log10(step || 1)));
  return number.toFixed(Math.min(3, digits)).replace("-", "−");
}

function tell(run, judging, choice, threshold, asItRan) {
  const decided = judging.steps.map((step) => [step, asItRan ? step.accepted : decide(choice, step, threshold).accepted]);
  const changed = decided.filter(([step, accepted]) => accepted !== step.accepted);
  const first = changed.length ? changed[0][0].index : Infinity;
  const would = new Map(changed.map(([step, accepted]) => [step.index, accepted]));
  for (const card of run.querySelectorAll("li.step[data-step]")) {
    const index = Number(card.dataset.step);
    card.classList.toggle("changes", would.has(index));
    card.classList.toggle("unknown", index > first);
    card.querySelector(".would").textContent = would.has(index)
      ? `would be ${would.get(index) ? "accepted" : "rejected"}` : "";
  }
  const count = decided.filter(([, accepted]) => accepted).length;
  const before = judging.steps.filter((step) => step.accepted).length;
  const said = run.querySelector(".judging .outcome");
  const steps = decided.length === 1 ? "step" : "steps";
  const told = document.createElement("p");
  told.append(`${count} of ${decided.length} drafted ${steps} accepted, as they were drafted; ${before} when it ran. `);
  if (changed.length) told.append(changed.length === 1 ? "Another decision: " : "Other decisions: ");
  changed.forEach(([step], at) => {
    const link = document.createElement("a");
    link.href = `#${run.id}-step-${step.index + 1}`;
    link.textContent = `step ${step.index + 1}`;
    told.append(at ? ", " : "", link);
  });
  if (changed.length) told.append(`. From step ${first + 1} on the reasoning would have gone on otherwise: what follows it is not known.`);
  if (told.textContent !== said.textContent) said.replaceChildren(...told.childNodes); // else a link keeps its focus
}

// Its marks go by the step from the recorded threshold, which is one of them.
function bounds(range, { low = 0, high = 0, step = 0.1, threshold = 0 }) {
  const behind = (distance) => Math.max(0, Math.ceil(distance / step - 1e-9)) * step;
  const round = (number) => Number(number.toFixed(9));
  Object.assign(range, { min: round(threshold - behind(threshold - low)), max: round(threshold + behind(high - threshold)), step });
}

function listen(run, area) {
  const [select, range, value] = ["select.choice", "input.threshold", ".value"].map((it) => area.querySelector(it));
  let touched = false;
  const choice = () => area.judging.choices[select.value];
  const update = () => {
    const { step, threshold = 0 } = choice(), chosen = Number(range.value);
    value.textContent = shows(chosen, step);
    range.setAttribute("aria-valuetext", value.textContent);
    tell(run, area.judging, choice(), chosen, select.value === "0" && Math.abs(chosen - threshold) < 1e-9);
  };
  const choose = () => {
    bounds(range, choice());
    range.value = choice().threshold ?? 0;
    update();
  };
  range.addEventListener("input", () => {
    touched = true;
    update();
  });
  select.addEventListener("change", () => {
    touched = true;
    choose();
  });
  area.querySelector(".reset").addEventListener("click", () => {
    touched = false;
    select.value = "0";
    choose();
  });
  area.hidden = false;
  return () => {
    if (!touched) return choose();
    bounds(range, choice()); // of a run that goes on
    update();
  };
}

function judgeAgain(run, judging) {
  const area = run.querySelector(".judging");
  area.judging = judging;
  area.again ??= listen(run, area);
  area.again();
}
