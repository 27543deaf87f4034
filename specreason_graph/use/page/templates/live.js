// A live page asks its server for itself once a second, and takes over what differs from what it was sent before. All else
// stays as it is: where the reader is, what is selected or has the focus, and what was set.

let tag = null, sent = document.querySelector("main").cloneNode(true);

function take(here, before, now) {
  if (before.isEqualNode(now)) return;
  if (now.nodeType === Node.TEXT_NODE) {
    if (now.data.startsWith(before.data)) here.appendData(now.data.slice(before.data.length)); // a selection in it stays
    else here.data = now.data;
    return;
  }
  for (const { name } of before.attributes) if (!now.hasAttribute(name)) here.removeAttribute(name);
  for (const { name, value } of now.attributes) {
    if (before.getAttribute(name) !== value) here.setAttribute(name, value);
  }
  const old = [...before.childNodes], live = [...here.childNodes];
  if (old.length === live.length && old.every((it, at) => it.nodeName === live[at].nodeName)) children(here, old, live, now);
  else here.replaceChildren(...document.importNode(now, true).childNodes); // our own scripts have put something else there
}

const alike = (one, other) => one.nodeName === other.nodeName && one.classList?.[0] === other.classList?.[0];

function children(here, old, live, now) {
  const free = old.map((it, at) => [it, live[at]]);
  const nodes = [...now.childNodes].map((node) => {
    let at = node.id ? free.findIndex(([it]) => it.id === node.id) : -1;
    if (at < 0) at = free.findIndex(([it]) => !it.id && alike(it, node)); // a step had no name while it was written
    if (at < 0) return document.importNode(node, true);
    const [[before, same]] = free.splice(at, 1);
    take(same, before, node);
    return same;
  });
  for (const [, gone] of free) gone.remove();
  let next = here.firstChild;
  for (const node of nodes) {
    while (next && next !== node && next.nodeType === Node.TEXT_NODE) { // the blanks go: what is moved loses focus and selection
      const blank = next;
      next = blank.nextSibling;
      blank.remove(); // until its turn
    }
    if (node === next) next = next.nextSibling;
    else here.insertBefore(node, next);
  }
}

const say = (text) => (document.querySelector(".lost").textContent = text);

async function follow() {
  const began = performance.now();
  const got = await fetch(location.pathname, { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store" });
  if (got.status === 404) return say("The gateway does not have this run any more. Nothing new comes here.");
  if (got.status !== 200 && got.status !== 304) throw new Error(got.status);
  say("");
  if (got.status === 200) {
    const fresh = new DOMParser().parseFromString(await got.text(), "text/html"), main = fresh.querySelector("main");
    tag = got.headers.get("ETag");
    take(document.querySelector("main"), sent, main);
    sent = main;
    document.title = fresh.title;
    begin();
    if (!fresh.body.dataset.live) return;
  }
  setTimeout(again, Math.max(1000, 9 * (performance.now() - began))); // a long run's page is work for its server
}

let last = new Date();

function again() {
  follow().then(() => (last = new Date())).catch(() => {
    say(`The gateway does not answer. This is as of ${last.toLocaleTimeString()}.`);
    setTimeout(again, 5000);
  });
}

setTimeout(again, 1000);
