// The slider judges the recorded steps again, and says from where on nothing is known any more.

function shows(number, step) {
  const digits = Math.max(0, -Math.floor(Math.log10(step || 1)));
  return number.toFixed(Math.min(3, digits)).replace("-", "−");
}

function tell(run, judging, choice, threshold) {
  const decided = judging.steps.map((step) => [step, decide(choice, step, threshold).accepted]);
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
  said.replaceChildren(`${count} of ${decided.length} drafted steps accepted, as they were drafted; ${before} when it ran. `);
  if (!changed.length) return;
  said.append("Other decisions: ");
  changed.forEach(([step], at) => {
    const link = document.createElement("a");
    link.href = `#${run.id}-step-${step.index + 1}`;
    link.textContent = `step ${step.index + 1}`;
    said.append(at ? ", " : "", link);
  });
  said.append(`. From step ${first + 1} on the reasoning would have gone on otherwise: what follows it is not known.`);
}

function judgeAgain(run, judging) {
  const area = run.querySelector(".judging");
  const [select, range, value] = ["select.choice", "input.threshold", ".value"].map((it) => area.querySelector(it));
  const update = () => {
    const choice = judging.choices[select.value];
    value.textContent = shows(Number(range.value), choice.step);
    range.setAttribute("aria-valuetext", value.textContent);
    tell(run, judging, choice, Number(range.value));
  };
  const choose = () => {
    const { low = 0, high = 0, step = 0.1, threshold = 0 } = judging.choices[select.value];
    Object.assign(range, { min: low, max: high, step: "any", value: threshold });
    range.dataset.step = step;
    update();
  };
  range.addEventListener("input", () => {
    const { step, low = 0 } = judging.choices[select.value];
    range.value = low + Math.round((range.value - low) / step) * step;
    update();
  });
  select.addEventListener("change", choose);
  area.querySelector(".reset").addEventListener("click", () => {
    select.value = "0";
    choose();
  });
  area.hidden = false;
  choose();
}
