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
  put(root, "verdict", progress.verdict_text);
}

let drawing = false;
async function draw(id) {
  if (drawing) return;
  drawing = true;
  try {
    const answer = await fetch(`/migrations/${id}/charts`);
    const place = document.getElementById("charts");
    if (answer.ok && place) place.innerHTML = await answer.text();
  } finally {
    drawing = false;
  }
}

const live = document.querySelector("[data-migration]");
const overview = document.querySelector("[data-watch]");
const over = ["completed", "gave_up", "cancelled", "failed"];

if (live && !live.hasAttribute("data-final")) {
  const id = live.dataset.migration;
  const events = new EventSource("/api/v1/events");
  const receive = (migration) => {
    if (over.includes(migration.state)) {
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
} else if (overview) {
  const events = new EventSource("/api/v1/events");
  let state = "";
  events.addEventListener("migration", (event) => {
    const { subject, data } = JSON.parse(event.data);
    const now = `${subject} ${data.state}`;
    if (now !== state && state !== "") location.reload();
    state = now;
  });
}

for (const button of document.querySelectorAll("[data-ask]")) {
  button.addEventListener("click", (event) => {
    if (!confirm(button.dataset.ask)) event.preventDefault();
  });
}

for (const time of document.querySelectorAll("time")) {
  time.textContent = new Date(time.dateTime).toLocaleString();
}
