// The console page: latency over time, queue, batches, collections, background work and the slowest
// requests, drawn from /status and /slow. One document: it loads nothing from anywhere else.
// Served by http_server. Constant. Always holds: what comes from the server is put in as text,
// never as markup; the page says so when the server does not answer.
#include "net/http_server.h"

namespace vecserve::net {

namespace {

constexpr char kPage[] = R"html(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>vecserve</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root { --ink:#1b2430; --soft:#66707d; --line:#d9dee5; --ground:#f6f7f9; --card:#fff;
  --a:#2563a8; --b:#c2571a; --c:#7a3b9c; --bad:#b3261e; --good:#1d7a46; }
@media (prefers-color-scheme: dark) { :root { --ink:#e4e8ee; --soft:#98a2b0; --line:#333c48;
  --ground:#14181e; --card:#1c222a; --a:#6aa7e8; --b:#ef9257; --c:#c08be0; --bad:#f2867e;
  --good:#62c68f; } }
* { box-sizing:border-box } body { margin:0; font:14px/1.45 system-ui,sans-serif; color:var(--ink);
  background:var(--ground) } main { max-width:1180px; margin:0 auto; padding:16px }
header { display:flex; gap:16px; align-items:baseline; flex-wrap:wrap; margin-bottom:12px }
h1 { font-size:20px; margin:0 } h2 { font-size:14px; margin:0 0 6px; color:var(--soft);
  font-weight:600 } #state { font-weight:600 } .good { color:var(--good) } .bad { color:var(--bad) }
.soft { color:var(--soft) } .grid { display:grid; gap:12px;
  grid-template-columns:repeat(auto-fit,minmax(330px,1fr)) }
section { background:var(--card); border:1px solid var(--line); border-radius:8px; padding:12px;
  overflow-x:auto } .wide { grid-column:1/-1 } .tiles { display:flex; gap:22px; flex-wrap:wrap }
.tile b { display:block; font-size:21px; font-variant-numeric:tabular-nums }
table { border-collapse:collapse; width:100%; font-variant-numeric:tabular-nums }
th,td { text-align:right; padding:3px 8px; border-bottom:1px solid var(--line); white-space:nowrap }
th { color:var(--soft); font-weight:600 } th:first-child,td:first-child { text-align:left }
svg { width:100%; height:150px; display:block } svg text { fill:var(--soft); font-size:10px }
.key span { margin-right:14px } .bar { background:var(--line); border-radius:3px; height:8px;
  min-width:120px } .bar i { display:block; height:8px; border-radius:3px; background:var(--a) }
</style></head><body><main>
<header><h1>vecserve</h1><span id="state">asking</span><span id="about" class="soft"></span>
</header>
<section><div class="tiles" id="tiles"></div></section><p></p>
<div class="grid">
<section class="wide"><h2>Search latency, each second</h2><div class="key" id="latency_key"></div>
<svg id="latency" viewBox="0 0 900 150" preserveAspectRatio="none"></svg></section>
<section><h2>Requests per second</h2><div class="key" id="rate_key"></div>
<svg id="rate" viewBox="0 0 900 150" preserveAspectRatio="none"></svg></section>
<section><h2>Searches that wait, and lanes that run</h2><div class="key" id="queue_key"></div>
<svg id="queue" viewBox="0 0 900 150" preserveAspectRatio="none"></svg></section>
<section><h2>Size of the batch that a search rode in</h2><table id="batches"></table></section>
<section><h2>Admission</h2><table id="pools"></table></section>
<section class="wide"><h2>Collections</h2><table id="collections"></table></section>
<section class="wide"><h2>Background work</h2><table id="background"></table></section>
<section class="wide"><h2>Slowest requests of the last minutes</h2><table id="slow"></table>
</section></div>
<script>
"use strict";
const at = id => document.getElementById(id);
const put = (tag, text, attributes) => {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  for (const key in attributes || {}) made.setAttribute(key, attributes[key]);
  return made;
};
const count = n => n >= 1e9 ? (n / 1e9).toFixed(2) + " G" : n >= 1e6 ? (n / 1e6).toFixed(2) + " M"
  : n >= 1e4 ? (n / 1e3).toFixed(1) + " k" : String(Math.round(n * 10) / 10);
const time = us => us >= 1e6 ? (us / 1e6).toFixed(2) + " s"
  : us >= 1e3 ? (us / 1e3).toFixed(2) + " ms" : Math.round(us) + " \u00b5s";
const bytes = n => n >= 1 << 30 ? (n / (1 << 30)).toFixed(2) + " GiB"
  : n >= 1 << 20 ? (n / (1 << 20)).toFixed(1) + " MiB" : Math.ceil(n / 1024) + " KiB";

function table(id, heads, rows) {
  const made = at(id), head = put("tr");
  heads.forEach(text => head.append(put("th", text)));
  made.replaceChildren(head);
  rows.forEach(cells => {
    const row = put("tr");
    cells.forEach(cell => {
      const data = put("td");
      data.append(cell instanceof Node ? cell : String(cell));
      row.append(data);
    });
    made.append(row);
  });
  if (!rows.length) made.append(put("td", "nothing yet", { class: "soft" }));
}

// Lines over the points of the history; `log` for times, whose tails would hide the rest.
function chart(id, points, lines, show, log) {
  const svg = at(id), space = "http://www.w3.org/2000/svg";
  const draw = (tag, attributes, text) => {
    const made = document.createElementNS(space, tag);
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    if (text) made.textContent = text;
    svg.append(made);
  };
  svg.replaceChildren();
  at(id + "_key").replaceChildren(...lines.map(line => {
    const last = points.length ? line.of(points[points.length - 1]) : 0;
    return put("span", line.name + " " + show(last), { style: "color:var(" + line.color + ")" });
  }));
  const values = points.flatMap(point => lines.map(line => line.of(point))).filter(v => v > 0);
  const top = Math.max(1, ...values) * 1.1, low = log ? Math.min(top / 10, ...values) : 0;
  const y = v => log ? 140 - 130 * Math.log(Math.max(v, low) / low) / Math.log(top / low)
    : 140 - 130 * v / top;
  (log ? [low, Math.sqrt(low * top), top] : [0, top / 2, top]).forEach(v => {
    draw("line", { x1: 0, x2: 900, y1: y(v), y2: y(v), stroke: "var(--line)" });
    draw("text", { x: 2, y: y(v) - 2 < 9 ? 9 : y(v) - 2 }, show(v));
  });
  lines.forEach(line => {
    let path = "", pen = false;
    points.forEach((point, i) => {
      const v = line.of(point);
      if (log && !(v > 0)) { pen = false; return; }
      path += (pen ? "L" : "M") + (900 * (i + 1) / Math.max(points.length, 60)).toFixed(1) + " "
        + y(v).toFixed(1);
      pen = true;
    });
    draw("path", { d: path, fill: "none", stroke: "var(" + line.color + ")", "stroke-width": 1.5,
      "vector-effect": "non-scaling-stroke" });
  });
}

function share(part) {
  const bar = put("div", undefined, { class: "bar" });
  bar.append(put("i", undefined, { style: "width:" + Math.min(100, 100 * part).toFixed(1) + "%" }));
  return bar;
}

function showStatus(s) {
  const bad = s.degraded ? "degraded: " + s.degraded : s.not_ready;
  at("state").textContent = bad || "serving";
  at("state").className = bad ? "bad" : "good";
  at("about").textContent = (s.path || "in memory") + ", kernels " + s.kernels + ", " + s.threads
    + " threads, durability " + s.durability;
  const last = s.history[s.history.length - 1] || {}, span = last.seconds || 1;
  const tiles = [["rows", count(s.rows)], ["collections", s.collections.length],
    ["searches/s", count((last.searches || 0) / span)], ["p50", time(last.p50_us || 0)],
    ["p99", time(last.p99_us || 0)], ["writes/s", count((last.writes || 0) / span)],
    ["refused/s", count((last.refused || 0) / span)], ["connections", s.connections || 0],
    ["on disk", bytes(s.disk_bytes)]];
  at("tiles").replaceChildren(...tiles.map(([name, value]) => {
    const tile = put("div", name, { class: "tile soft" });
    tile.prepend(put("b", value, { style: "color:var(--ink)" }));
    return tile;
  }));
  chart("latency", s.history, [{ name: "p50", color: "--a", of: p => p.p50_us },
    { name: "p99", color: "--b", of: p => p.p99_us },
    { name: "p99.9", color: "--c", of: p => p.p999_us }], time, true);
  const per = key => p => p[key] / (p.seconds || 1);
  chart("rate", s.history, [{ name: "searches", color: "--a", of: per("searches") },
    { name: "writes", color: "--b", of: per("writes") },
    { name: "refused", color: "--bad", of: per("refused") }], count, false);
  chart("queue", s.history, [{ name: "waiting", color: "--a", of: p => p.queued },
    { name: "lanes", color: "--b", of: p => p.lanes_busy },
    { name: "batch", color: "--c", of: p => p.batch_mean }], count, false);
  const all = s.batch_sizes.reduce((sum, b) => sum + b.searches, 0) || 1;
  table("batches", ["up to", "searches", ""], s.batch_sizes.filter(b => b.searches).map(b =>
    [b.up_to, count(b.searches), share(b.searches / all)]));
  table("pools", ["", "waiting", "running", "limit", "slow batch", "done", "refused", "shed"],
    ["search", "write", "read"].map(name => [name, s[name].queued_interactive
      + s[name].queued_bulk + s[name].queued_background, s[name].running, time(s[name].target_us),
      time(s[name].slow_batch_us), count(s[name].completed), count(s[name].refused),
      count(s[name].shed)]));
  table("collections", ["name", "rows", "dimension", "metric", "type", "memory", "searches",
    "rows written"], s.collections.map(c => [c.name, count(c.rows), c.dim, c.metric, c.type,
    bytes(c.memory_bytes), count(c.searches), count(c.writes)]));
  const part = (some, c) => share(Math.min(1, some / Math.max(1, c.rows + c.rows_dead)));
  table("background", ["collection", "rows surveyed", "rows sketched", "sketches", "coarse planes",
    "rows dead, not given back", "blocks rewritten", "rows expired"], s.collections.map(c =>
    [c.name, part(c.rows_surveyed, c), part(c.rows_sketched, c), bytes(c.sketch_bytes),
      bytes(c.coarse_bytes), part(c.rows_dead, c), count(c.blocks_rewritten),
      count(c.rows_expired)]));
}

function showSlow(requests) {
  table("slow", ["request", "collection", "when", "outcome", "total", "queue", "batch", "scan",
    "rescore", "payload", "reply", "batch of", "by"], requests.slice(0, 30).map(r => [r.verb,
    r.collection, new Date(r.unix_ms).toLocaleTimeString(), r.status, time(r.total_us),
    time(r.queue_us), time(r.batch_us), time(r.scan_us), time(r.rescore_us), time(r.fetch_us),
    time(r.send_us), r.batch_size, r.backend]));
}

async function ask() {
  try {
    const answers = await Promise.all(["/status", "/slow"].map(path => fetch(path)));
    const [status, slow] = await Promise.all(answers.map(answer => answer.json()));
    showStatus(status);
    showSlow(slow);
  } catch (error) {
    at("state").textContent = "no answer from the server: " + error;
    at("state").className = "bad";
  }
  setTimeout(ask, 1000);
}
ask();
</script></main></body></html>
)html";

}  // namespace

const char* console_page() {
  return kPage;
}

}  // namespace vecserve::net
