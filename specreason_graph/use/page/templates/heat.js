// Token heat: a drafted step's text is cut where a token or a question to base begins, and shaded; the text stays.

const NATS = 4; // as unlikely as this, or more, is the deepest shade

const depth = (logprob) => Math.min(1, Math.max(0, -logprob / NATS));
const unsure = (logprob) => 1 - Math.exp(Math.min(0, logprob));
const said = (logprob) => `${(100 * Math.exp(logprob)).toPrecision(2)} %, log-probability ${logprob.toFixed(2)}`;

function words(text, own, asked) {
  const told = [`“${text.trim() || text}”`];
  if (asked) {
    told.push(`base: ${asked.atMost ? "at most " : ""}${said(asked.base)}`);
    if (asked.lead > 0) told.push(`another token is ${asked.lead.toFixed(2)} ahead`);
  }
  if (own !== undefined) told.push(`the draft: ${said(own)}`);
  return told.join("\n");
}

// As _tokens in render.py writes it.
function read({ starts, logprobs, asked }) {
  let at = 0;
  return {
    starts: starts.map((further) => (at += further)),
    logprobs: logprobs.map((it) => it / 100),
    asked: asked.map(([start, length, base, own, atMost, lead]) => (
      { start, length, base: base / 100, own: own === null ? undefined : own / 100, atMost, lead: lead / 100 })),
  };
}

// What is selected in a text stays selected while its nodes are changed.
function selectionKept(box, change) {
  const chosen = getSelection(), { anchorNode, anchorOffset, focusNode, focusOffset } = chosen;
  if (!box.contains(anchorNode) || !box.contains(focusNode)) return change();
  const texts = () => {
    const found = [];
    for (let walker = document.createTreeWalker(box, NodeFilter.SHOW_TEXT); walker.nextNode();) found.push(walker.currentNode);
    return found;
  };
  const before = texts();
  const far = (node, offset) => before.slice(0, before.indexOf(node)).reduce((sum, it) => sum + it.length, offset);
  const ends = [far(anchorNode, anchorOffset), far(focusNode, focusOffset)];
  change();
  const place = (at) => {
    for (const node of texts()) {
      if (at <= node.length) return [node, at];
      at -= node.length;
    }
    return [box, box.childNodes.length];
  };
  chosen.setBaseAndExtent(...ends.flatMap(place));
}

function shade(box, data) {
  const cuts = new Set([...data.starts, ...data.asked.flatMap((it) => [it.start, it.start + it.length])]);
  const texts = [];
  for (let walker = document.createTreeWalker(box, NodeFilter.SHOW_TEXT); walker.nextNode();) texts.push(walker.currentNode);
  let at = 0, token = -1;
  for (const node of texts) {
    const made = [];
    let piece = null;
    for (const character of node.data) {
      while (token + 1 < data.starts.length && data.starts[token + 1] <= at) token++;
      if (!piece || cuts.has(at)) {
        piece = document.createElement("span");
        const own = data.logprobs[token];
        const asked = data.asked.find((it) => it.start <= at && at < it.start + it.length);
        piece.className = asked ? "token asked" : "token";
        if (asked) piece.style.setProperty("--base-depth", depth(asked.base).toFixed(3));
        if (own !== undefined) piece.style.setProperty("--own-depth", unsure(own).toFixed(3));
        piece.heat = [asked?.own ?? own, asked];
        made.push(piece);
      }
      piece.textContent += character;
      at++;
    }
    node.replaceWith(...made);
  }
}

function explain(box, tip) {
  let current = null;
  const show = (piece) => tip.show((current = piece), words(piece.textContent, ...piece.heat));
  const hide = () => tip.hide((current = null));
  box.tabIndex = 0;
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", "Drafted text; the arrow keys go from token to token");
  box.addEventListener("pointerover", (event) => {
    const piece = event.target.closest(".token");
    if (piece && piece.textContent.trim()) show(piece);
  });
  box.addEventListener("pointerleave", hide);
  box.addEventListener("blur", hide);
  box.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return hide();
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const pieces = [...box.querySelectorAll(".token")].filter((piece) => piece.textContent.trim());
    if (!by || !pieces.length || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    show(pieces[Math.max(0, Math.min(pieces.length - 1, pieces.indexOf(current) + by))]);
  });
}

function heat(run, drafted, tip) {
  let asked = false;
  for (const box of run.querySelectorAll(".drafted")) {
    const data = read(drafted[box.dataset.step]);
    if (!data.starts.length && !data.asked.length) continue;
    if (!box.querySelector(".token")) selectionKept(box, () => shade(box, data));
    once(box, () => explain(box, tip));
    run.querySelector(".legend").hidden = false;
    asked ||= data.asked.length > 0;
  }
  run.querySelector(".of-asked").hidden = !asked;
  const heats = run.querySelector(".heat-switch");
  once(heats, () => heats.addEventListener("change", () => run.classList.toggle("plain", !heats.checked)));
}
