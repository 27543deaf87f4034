// The policies of judging/policy.py, on a step's evidence as the page holds it; a test holds both together.

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

function labelScore(weights, method) {
  const mass = weights.reduce((sum, weight) => sum + weight, 0);
  const shares = weights.map((weight) => weight / mass);
  if (method === "greedy") return shares.indexOf(Math.max(...shares));
  if (method === "mean") return shares.reduce((sum, share, place) => sum + place * share, 0);
  let atLeast = 0;
  for (let place = shares.length - 1; place >= 0; place--) {
    atLeast += shares[place];
    if (atLeast >= 0.5) return place;
  }
  return 0;
}

function likelihoodScore(spots, lowest) {
  return mean([...spots].sort((one, other) => one - other).slice(0, lowest));
}

function probability(choice, features) {
  let odds = choice.intercept ?? 0;
  for (const [name, [weight, average]] of Object.entries(choice.weights)) {
    odds += weight * ((features[name] ?? average) - average);
  }
  return odds >= 0 ? 1 / (1 + Math.exp(-odds)) : Math.exp(odds) / (1 + Math.exp(odds));
}

// Whether the policy accepts the step, and the score that it compares; null where there is none.
function decide(choice, step, threshold) {
  const against = (score, bound) => ({ accepted: score >= bound, score });
  if (step.fixed || (step.bare && !step.spots && choice.kind !== "fitted")) {
    return { accepted: step.accepted, score: step.score ?? null };
  }
  switch (choice.kind) {
    case "fitted":
      return against(probability(choice, step.features ?? {}), threshold);
    case "likelihood":
      return against(likelihoodScore(step.spots, choice.lowest ?? 1), threshold);
    case "labels":
      if (step.bare) return against(likelihoodScore(step.spots, 1), choice.end_threshold ?? -2);
      if (!step.says_label || !(step.labels ?? []).some((weight) => weight > 0)) {
        return { accepted: false, score: null };
      }
      return against(labelScore(step.labels, choice.method ?? "greedy"), threshold);
    default:
      return step.score === undefined ? { accepted: false, score: null } : against(step.score, threshold);
  }
}
