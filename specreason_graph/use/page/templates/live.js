// A live page asks its server for itself each second, and takes over what has changed; the reader's settings stay.

let tag = null;

function settings() {
  return [...document.querySelectorAll("main select, main input")].map((it) => (it.type === "checkbox" ? it.checked : it.value));
}

function keep(values) {
  const inputs = document.querySelectorAll("main select, main input");
  if (inputs.length !== values.length) return;
  inputs.forEach((it, at) => {
    it[it.type === "checkbox" ? "checked" : "value"] = values[at];
    it.dispatchEvent(new Event(it.tagName === "SELECT" || it.type === "checkbox" ? "change" : "input"));
  });
}

async function follow() {
  const got = await fetch(location.pathname, { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store" });
  if (got.status === 200) {
    const isNew = tag !== null, fresh = new DOMParser().parseFromString(await got.text(), "text/html");
    tag = got.headers.get("ETag");
    if (isNew) {
      const values = settings(), { activeElement } = document, at = activeElement.id;
      document.querySelector("main").replaceWith(document.adoptNode(fresh.querySelector("main")));
      begin();
      keep(values);
      if (at) document.getElementById(at)?.focus({ preventScroll: true });
    }
    if (!fresh.body.dataset.live) return;
  }
  setTimeout(follow, 1000);
}

setTimeout(function again() {
  follow().catch(() => setTimeout(again, 5000)); // its server is gone, or back later
}, 1000);
