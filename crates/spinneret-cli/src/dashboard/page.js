// Asks for the state each second and shows it. Texts from the manager go in as text, never as HTML.

import { Chart, SAMPLES, full, short, spark } from "./chart.js";

const PERIOD = 1000;
const ROWS = 200;

const find = (id) => document.getElementById(id);
const rates = new Chart(find("rates"), [{ name: "in", label: "in" }, { name: "out", label: "out" }]);
const depth = new Chart(find("depth"), [{ name: "depth", label: "waiting" }]);

let started = null;
let sample = 0;
let selected = null;
// By queue: the last samples, and its row.
const histories = new Map();
const rows = new Map();

function append(queues, missed) {
  const there = new Set(queues.map((queue) => queue.name));
  for (const name of histories.keys()) if (!there.has(name)) histories.delete(name);
  for (const { name, history } of queues) {
    const before = missed ? null : histories.get(name);
    const join = (key) => [...(before?.[key] ?? []), ...history[key]].slice(-SAMPLES);
    histories.set(name, { queued: join("queued"), puts: join("puts"), delivered: join("delivered") });
  }
}

// The samples of all queues added up; the last of each is of the same moment.
function sums(key) {
  const length = Math.max(0, ...[...histories.values()].map((history) => history[key].length));
  const total = new Array(length).fill(0);
  for (const { [key]: values } of histories.values()) {
    const offset = length - values.length;
    values.forEach((value, index) => { total[offset + index] += value; });
  }
  return total;
}

function text(element, content, title) {
  if (element.textContent !== content) element.textContent = content;
  if (title !== undefined && element.title !== title) element.title = title;
}

function number(element, value) {
  text(element, short(value), full(value));
}

// A number with a rate beside it.
function withRate(element, value, perSecond) {
  if (!element.parts) {
    element.parts = ["span", "small"].map((name) => document.createElement(name));
    element.replaceChildren(element.parts[0], " ", element.parts[1]);
  }
  number(element.parts[0], value);
  text(element.parts[1], `${short(perSecond)}/s`);
}

function totals({ queues, connections, workers }) {
  const sum = (key) => queues.reduce((total, queue) => total + queue[key], 0);
  number(find("total-queued"), sum("queued"));
  number(find("total-leased"), sum("leased"));
  number(find("total-dead"), sum("dead"));
  find("tile-dead").classList.toggle("alarm", sum("dead") > 0);
  withRate(find("total-in"), sum("puts"), sum("puts_per_second"));
  withRate(find("total-out"), sum("delivered"), sum("delivered_per_second"));
  number(find("total-connections"), connections.total);
  number(find("total-workers"), workers.total);
}

// What a crawl adds to its manager. Its workers are connections; pools of machines it has none of,
// unless others use its manager for them.
function crawled(crawl, others) {
  find("crawl").hidden = !crawl;
  find("cluster").hidden = find("tile-workers").hidden = Boolean(crawl) && others.total === 0;
  text(find("title"), crawl ? "spinneret crawl" : "spinneret manager");
  if (!crawl) return;
  withRate(find("crawl-pages"), crawl.pages, crawl.pages_per_second);
  withRate(find("crawl-saved"), crawl.images_saved, crawl.images_per_second);
  number(find("crawl-found"), crawl.images_found);
  number(find("crawl-bytes"), crawl.bytes);
  number(find("crawl-waiting"), crawl.waiting);
  number(find("crawl-flight"), crawl.in_flight);
  number(find("crawl-workers"), crawl.workers);
  const causes = Object.entries(crawl.failures).sort(([, one], [, other]) => other - one);
  number(find("crawl-failed"), causes.reduce((sum, [, count]) => sum + count, 0));
  find("crawl-causes").hidden = causes.length === 0;
  text(find("crawl-causes"), `failed: ${causes.map(([cause, n]) => `${full(n)} ${cause}`).join(", ")}`);
}

function cell(row, label, kind) {
  const made = row.insertCell();
  made.dataset.label = label;
  made.setAttribute("role", "cell");
  if (kind) made.className = kind;
  return made;
}

function newRow(name) {
  const row = document.createElement("tr");
  row.setAttribute("role", "row");
  row.dataset.queue = name;
  const title = cell(row, "Queue");
  const button = title.appendChild(document.createElement("button"));
  button.type = "button";
  button.textContent = name;
  button.title = "show in the charts";
  button.addEventListener("click", () => select(selected === name ? null : name));
  const closed = title.appendChild(document.createElement("span"));
  closed.className = "badge";
  closed.textContent = "closed";
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("aria-hidden", "true");
  cell(row, "Waiting, 5 min", "spark").append(svg);
  const [queued, puts, delivered, done, leased, dead] =
    ["Waiting", "In", "Out", "Done", "Leased", "Dead"].map((label) => cell(row, label, "number"));
  const amount = queued.appendChild(document.createElement("span"));
  queued.append(" ");
  const bound = queued.appendChild(document.createElement("small"));
  const meter = queued.appendChild(document.createElement("meter"));
  return { row, button, closed, svg, amount, bound, meter, puts, delivered, done, leased, dead };
}

function show(queue) {
  if (!rows.has(queue.name)) rows.set(queue.name, newRow(queue.name));
  const parts = rows.get(queue.name);
  number(parts.amount, queue.queued);
  parts.bound.hidden = parts.meter.hidden = queue.maxsize === null;
  if (queue.maxsize !== null) {
    text(parts.bound, `of ${short(queue.maxsize)}`);
    parts.meter.max = queue.maxsize;
    parts.meter.value = queue.queued;
    parts.meter.setAttribute("aria-label", `${queue.queued} of ${queue.maxsize}`);
  }
  withRate(parts.puts, queue.puts, queue.puts_per_second);
  withRate(parts.delivered, queue.delivered, queue.delivered_per_second);
  number(parts.done, queue.done);
  number(parts.leased, queue.leased);
  number(parts.dead, queue.dead);
  parts.dead.classList.toggle("alarm", queue.dead > 0);
  parts.closed.hidden = !queue.closed;
  parts.row.classList.toggle("selected", selected === queue.name);
  parts.button.setAttribute("aria-pressed", String(selected === queue.name));
  return parts;
}

function more(id, shown, total) {
  find(`${id}-empty`).hidden = total > 0;
  find(id).closest("table").hidden = total === 0;
  find(`${id}-more`).hidden = shown === total;
  text(find(`${id}-more`), `and ${full(total - shown)} more`);
}

function queueTable(queues) {
  const shown = queues.slice(0, ROWS).map(show);
  const body = find("queues");
  const names = new Set(queues.slice(0, ROWS).map((queue) => queue.name));
  for (const [name, { row }] of rows) {
    if (!names.has(name)) {
      row.remove();
      rows.delete(name);
    }
  }
  // Moving a row takes the focus from it, so only what is not in its place is moved.
  shown.forEach(({ row }, index) => {
    if (body.rows[index] !== row) body.insertBefore(row, body.rows[index] ?? null);
  });
  more("queues", shown.length, queues.length);
  sparks();
}

function sparks() {
  for (const [name, { svg }] of rows) spark(svg, histories.get(name).queued, "depth");
}

// A table whose rows are but texts, made anew when one of them has changed.
function plainTable(id, { total, first }, columns) {
  const texts = JSON.stringify(first.map((entry) => columns.map(([, of]) => of(entry))));
  const body = find(id);
  if (body.shown !== texts) {
    body.shown = texts;
    body.replaceChildren(...first.map((entry) => {
      const row = document.createElement("tr");
      row.setAttribute("role", "row");
      for (const [label, of, kind] of columns) cell(row, label, kind).textContent = of(entry);
      return row;
    }));
  }
  more(id, first.length, total);
}

const CONNECTION = [
  ["From", (peer) => peer.address],
  ["Name", (peer) => peer.name || "–"],
  ["Speaks", (peer) => `${peer.kind} ${peer.version}`.trim()],
  ["Encrypted", (peer) => (peer.encrypted ? "yes" : "no")],
  ["Leased", (peer) => full(peer.leases), "number"],
];

const WORKER = [
  ["Worker", (worker) => worker.name || "–"],
  ["From", (worker) => worker.address],
  ["Process", (worker) => `${worker.pid} on ${worker.host}`],
  ["Tasks done", (worker) => full(worker.tasks), "number"],
  ["Running", (worker) => `${full(worker.running)} of ${full(worker.slots)}`, "number"],
];

function charts() {
  const one = histories.get(selected);
  text(find("chosen"), one ? `of ${selected}` : "of all queues");
  find("all").hidden = !one;
  const series = (key) => one?.[key] ?? sums(key);
  rates.show(series("puts"), series("delivered"));
  depth.show(series("queued"));
}

function select(name) {
  selected = name;
  for (const [queue, { row, button }] of rows) {
    row.classList.toggle("selected", queue === name);
    button.setAttribute("aria-pressed", String(queue === name));
  }
  charts();
}

function duration(seconds) {
  const days = Math.floor(seconds / 86400), hours = Math.floor(seconds / 3600) % 24;
  const minutes = Math.floor(seconds / 60) % 60;
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min` : `${Math.floor(seconds)} s`;
}

function status(state, words) {
  find("status").dataset.state = state;
  text(find("status"), words);
  document.querySelector("main").classList.toggle("stale", state === "lost");
}

async function ask(since) {
  const options = { cache: "no-store", signal: AbortSignal.timeout(10000) };
  const reply = await fetch(`api/state?since=${since}`, options);
  if (!reply.ok) throw new Error(`status ${reply.status}`);
  return reply.json();
}

// What is new since the last answer; nothing if there is no answer.
async function news() {
  try {
    const state = await ask(sample);
    // Another manager, whose samples count from the beginning.
    return started !== null && state.started !== started ? await ask(0) : state;
  } catch {
    const since = new Date().toLocaleTimeString();
    if (find("status").dataset.state !== "lost") status("lost", `no answer since ${since}`);
    return null;
  }
}

function present(state) {
  append(state.queues, state.started !== started || state.sample - sample > SAMPLES);
  ({ started, sample } = state);
  text(find("about"), `${state.address} · version ${state.version} · up ${duration(state.uptime)}`);
  crawled(state.crawl, state.workers);
  document.title = `${state.address} – ${find("title").textContent}`;
  totals(state);
  queueTable(state.queues);
  plainTable("connections", state.connections, CONNECTION);
  plainTable("workers", state.workers, WORKER);
  charts();
  status("live", "live");
}

async function live() {
  try {
    // A page that nobody sees needs no numbers; what it misses comes with the next answer.
    const state = document.visibilityState === "visible" ? await news() : null;
    if (state) present(state);
  } finally {
    setTimeout(live, PERIOD);
  }
}

addEventListener("resize", sparks);
find("all").addEventListener("click", () => select(null));
live();
