// Keeps the page true while one looks at it. Without it everything works; the page then shows the moment of its loading.

const units = ["B", "KiB", "MiB", "GiB", "TiB"];

function size(bytes) {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value.toPrecision(3)} ${units[unit]}`;
}

function rate(bytes) {
  return bytes >= 1e9 ? `${(bytes / 1e9).toPrecision(3)} GB/s` : `${(bytes / 1e6).toPrecision(3)} MB/s`;
}

function put(root, field, text) {
  const place = root.querySelector(`[data-field="${field}"]`);
  if (place && place.textContent !== text) place.textContent = text;
}

const stages = {
  connecting: "reaching the target",
  first_pass: "first pass",
  passes: "further passes",
  switchover: "switching over",
  committed: "given away",
};

const states = { queued: "waiting for its turn", preparing: "preparing the target", moving: "moving", settling: "settling who has the guest", in_doubt: "in doubt" };

function show(root, migration) {
  put(root, "state", states[migration.state] ?? migration.state);
  const progress = migration.progress;
  if (!progress) return;
  const pass = progress.pass > 1 ? `, pass ${progress.pass}` : "";
  put(root, "stage", `${stages[progress.stage] ?? ""}${pass}`);
  put(root, "remaining", size(progress.remaining_bytes));
  put(root, "dirty", rate(progress.dirty_rate_bytes_per_second));
  put(root, "bandwidth", rate(progress.bandwidth_bytes_per_second));
  put(root, "throttle", progress.throttle > 0 ? `${(progress.throttle * 100).toFixed(0)} %` : "not at all");
  put(root, "elapsed", `${(progress.elapsed_ms / 1000).toFixed(1)} s`);
  const verdict = progress.verdict_text;
  put(root, "verdict", verdict.charAt(0).toUpperCase() + verdict.slice(1));
}

let drawing = false;
async function draw(id) {
  if (drawing) return;
  drawing = true;
  try {
    const answer = await fetch(`/migrations/${id}/charts`);
    const place = document.getElementById("charts");
    if (answer.ok && place) {
      place.innerHTML = await answer.text();
      local(place);
    }
  } finally {
    drawing = false;
  }
}

// Times are the reader's own.
function local(root) {
  for (const time of root.querySelectorAll("time")) {
    time.textContent = new Date(time.dateTime).toLocaleString();
  }
}

// Asks for the page anew, and puts in place what is otherwise now. Asked again meanwhile, it looks once more.
let renewing = false;
let again = false;
async function renew() {
  again = true;
  if (renewing) return;
  renewing = true;
  try {
    while (again) {
      again = false;
      const answer = await fetch(location.href);
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      local(fresh);
      for (const place of document.querySelectorAll("[data-watch]")) replace(place, fresh.getElementById(place.id));
    }
  } finally {
    renewing = false;
  }
}

// Whoever is on a link or a button there stays on it.
function replace(place, now) {
  if (!now || now.innerHTML === place.innerHTML) return;
  const on = place.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  place.innerHTML = now.innerHTML;
  if (on) place.querySelector(`[href="${CSS.escape(on)}"]`)?.focus();
}

const live = document.querySelector("[data-migration]");
const over = ["completed", "gave_up", "cancelled", "failed"];

if (live && !live.hasAttribute("data-final")) {
  const id = live.dataset.migration;
  const events = new EventSource("/api/v1/events");
  const receive = (migration) => {
    // Who is in doubt is asked, and what is in doubt no more goes on.
    const doubt = (state) => state === "in_doubt";
    if (over.includes(migration.state) || doubt(migration.state) !== doubt(live.dataset.state)) {
      events.close();
      location.reload();
      return;
    }
    show(live, migration);
    draw(id);
  };
  // Only what happens from now on is told: what has happened since the page was drawn, or while the node was away, is asked for.
  events.addEventListener("open", async () => {
    const answer = await fetch(`/api/v1/migrations/${id}`);
    if (answer.ok) receive(await answer.json());
  });
  events.addEventListener("migration", (event) => {
    const { subject, data } = JSON.parse(event.data);
    if (subject === id) receive(data);
  });
} else if (document.querySelector("[data-watch]")) {
  const events = new EventSource("/api/v1/events");
  const states = new Map();
  // Only what happens from now on is told: what has happened since the page was drawn, or while the node was away, is asked for.
  events.addEventListener("open", renew);
  for (const kind of ["vm", "drain"]) events.addEventListener(kind, renew);
  events.addEventListener("migration", (event) => {
    const { subject, data } = JSON.parse(event.data);
    if (states.get(subject) === data.state) return;
    states.set(subject, data.state);
    renew();
  });
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-ask]");
  if (button && !confirm(button.dataset.ask)) event.preventDefault();
});

local(document);
