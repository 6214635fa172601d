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

function time(ms) {
  if (ms < 9.95) return `${ms.toFixed(1)} ms`;
  if (ms < 999.5) return `${ms.toFixed(0)} ms`;
  if (ms < 9995) return `${(ms / 1000).toFixed(2)} s`;
  if (ms < 59950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min${seconds % 60 ? ` ${seconds % 60} s` : ""}`;
  return `${Math.floor(minutes / 60)} h${minutes % 60 ? ` ${minutes % 60} min` : ""}`;
}

// Which of the stages it is in, as the page names them.
function step(migration) {
  if (migration.state === "settling") return "committed";
  const stage = migration.state === "moving" ? migration.progress?.stage : undefined;
  return stage && stage !== "connecting" ? stage : "preparing";
}

function show(root, migration) {
  put(root, "state", states[migration.state] ?? migration.state);
  const now = step(migration);
  for (const place of root.querySelectorAll("[data-stage]")) {
    if (place.dataset.stage === now) place.setAttribute("aria-current", "step");
    else place.removeAttribute("aria-current");
  }
  const progress = migration.state === "moving" ? migration.progress : null;
  if (!progress) return put(root, "stage", "");
  const pass = progress.pass > 1 ? `, pass ${progress.pass}` : "";
  put(root, "stage", `${stages[progress.stage] ?? ""}${pass}`);
  put(root, "remaining", size(progress.remaining_bytes));
  put(root, "dirty", rate(progress.dirty_rate_bytes_per_second));
  put(root, "bandwidth", rate(progress.bandwidth_bytes_per_second));
  put(root, "throttle", progress.throttle > 0 ? `${(progress.throttle * 100).toFixed(0)} %` : "no");
  put(root, "elapsed", time(progress.elapsed_ms));
  const carried = progress.bandwidth_bytes_per_second;
  put(root, "downtime", carried > 0 ? time((progress.remaining_bytes / carried) * 1000) : "–");
  const verdict = progress.verdict_text;
  put(root, "verdict", verdict.charAt(0).toUpperCase() + verdict.slice(1));
  const coloured = root.querySelector("[data-verdict]");
  if (coloured) coloured.dataset.verdict = progress.verdict;
}

// Draws the charts anew, as they were at least at the event with this number.
let drawing = false;
async function draw(id, event) {
  if (drawing) return;
  drawing = true;
  try {
    const answer = await fetch(`/migrations/${id}/charts`);
    const place = document.getElementById("charts");
    if (answer.ok && place) {
      place.innerHTML = await answer.text();
      local(place);
      place.dataset.event = event;
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

const live = document.querySelector("section[data-migration]");
const over = ["completed", "gave_up", "cancelled", "failed"];

// An element says by which event it was written last.
if (live && !live.hasAttribute("data-final")) {
  const id = live.dataset.migration;
  const events = new EventSource("/api/v1/events");
  const receive = (migration, event) => {
    // Who is in doubt is asked, and what is in doubt no more goes on.
    const doubt = (state) => state === "in_doubt";
    if (over.includes(migration.state) || doubt(migration.state) !== doubt(live.dataset.state)) {
      events.close();
      location.reload();
      return;
    }
    show(live, migration);
    live.dataset.event = event;
    draw(id, event);
  };
  // Only what happens from now on is told: what has happened since the page was drawn, or while the node was away, is asked for.
  events.addEventListener("open", async () => {
    const answer = await fetch(`/api/v1/migrations/${id}`);
    if (answer.ok) receive(await answer.json(), "");
  });
  events.addEventListener("migration", (event) => {
    const { subject, data } = JSON.parse(event.data);
    if (subject === id) receive(data, event.lastEventId);
  });
} else if (document.querySelector("[data-watch]")) {
  const events = new EventSource("/api/v1/events");
  const known = new Map();
  // Only what happens from now on is told: what has happened since the page was drawn, or while the node was away, is asked for.
  events.addEventListener("open", renew);
  for (const kind of ["vm", "drain"]) events.addEventListener(kind, renew);
  events.addEventListener("migration", (event) => {
    const { subject, data } = JSON.parse(event.data);
    for (const row of document.querySelectorAll(`tr[data-migration="${CSS.escape(subject)}"]`)) {
      show(row, data);
      row.dataset.event = event.lastEventId;
    }
    if (known.get(subject) === data.state) return;
    known.set(subject, data.state);
    renew();
  });
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-ask]");
  if (button && !confirm(button.dataset.ask)) event.preventDefault();
});

const form = document.querySelector("form.migrate");

// Asks what would come of the form as it stands; of two questions the later one counts.
let asked = null;
async function check() {
  const place = document.getElementById("check");
  asked?.abort();
  const question = (asked = new AbortController());
  place.querySelector("[data-waiting]")?.removeAttribute("hidden");
  place.setAttribute("aria-busy", "true");
  const wanted = new URLSearchParams(new FormData(form));
  try {
    const answer = await fetch(`${place.dataset.from}?${wanted}`, { signal: question.signal });
    if (!answer.ok) return location.reload();
    place.innerHTML = await answer.text();
    place.removeAttribute("aria-busy");
  } catch (error) {
    // Somebody has asked again, or the node is away: what stands there is as good as it was.
    if (asked === question) place.removeAttribute("aria-busy");
  }
}

// Another policy fills in what it has, where nothing else was written.
function follow(policy) {
  const { auto_converge: ticked, ...texts } = JSON.parse(policy.dataset.has);
  form.elements.auto_converge.checked = ticked;
  for (const [name, text] of Object.entries(texts)) {
    const [field, before] = [form.elements[name], form.elements[`was_${name}`]];
    if (field.value === before.value) field.value = text;
    before.value = text;
  }
}

if (form) {
  form.addEventListener("change", (event) => {
    if (event.target.name === "policy") follow(event.target);
    check();
  });
  form.querySelector("[data-check]").addEventListener("click", (event) => {
    event.preventDefault();
    check();
  });
  if (form.elements.target.value && !form.querySelector("#check .items")) check();
}

local(document);
