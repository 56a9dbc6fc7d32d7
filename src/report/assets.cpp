#include "src/report/assets.h"

namespace convopt {

// Colours after Okabe and Ito, which people with any kind of colour vision tell apart.
std::string_view page_style() {
  return R"(
:root { color-scheme: light dark; --paper: #ffffff; --panel: #f6f7f9; --ink: #1c2024; --soft: #5b6470;
  --rule: #d8dce1; --link: #0b57a4; --mark: #b3261e;
  --c0: #2f7fb8; --c1: #e09a1a; --c2: #2a9d78; --c3: #c975a4; --c4: #d0622b; --c5: #69b9e4; --c6: #d8c93a; --c7: #8b929b; }
@media (prefers-color-scheme: dark) { :root { --paper: #15181c; --panel: #1d2126; --ink: #e8eaed; --soft: #a3abb5;
  --rule: #353b43; --link: #8ab8f0; --mark: #ff8a80;
  --c0: #4a9bd6; --c1: #e8a93a; --c2: #3bb58c; --c3: #d98fb8; --c4: #e07a45; --c5: #86cdf2; --c6: #d9cc4e; --c7: #98a0aa; } }
@media print { :root { color-scheme: light; --paper: #ffffff; --panel: #ffffff; --ink: #000000; --soft: #444444;
  --rule: #bbbbbb; --link: #000000; --mark: #b3261e;
  --c0: #2f7fb8; --c1: #e09a1a; --c2: #2a9d78; --c3: #c975a4; --c4: #d0622b; --c5: #69b9e4; --c6: #d8c93a; --c7: #8b929b; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 76rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; overflow-wrap: break-word; }
h1 { margin: 0; font-size: 1.7rem; line-height: 1.2; }
h2 { margin: 2.2rem 0 0.4rem; font-size: 1.2rem; border-bottom: 1px solid var(--rule); padding-bottom: 0.2rem; }
h3 { margin: 1rem 0 0.3rem; font-size: 1rem; }
p { margin: 0.3rem 0; max-width: 60rem; }
a { color: var(--link); }
.soft, figcaption { color: var(--soft); }
figcaption { font-size: 0.87rem; max-width: 60rem; }
code, pre, .mono { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 0.87em; }
pre { background: var(--panel); border: 1px solid var(--rule); border-radius: 6px; padding: 0.7rem; white-space: pre-wrap;
  overflow-wrap: anywhere; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr)); gap: 0.7rem; margin: 1rem 0; }
.tile { background: var(--panel); border: 1px solid var(--rule); border-radius: 8px; padding: 0.7rem 0.9rem; }
.tile b { display: block; font-size: 1.5rem; line-height: 1.3; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 0 1.5rem; }
figure { margin: 0.6rem 0; min-width: 0; }
.scroll { overflow-x: auto; }
svg { display: block; width: 100%; height: auto; }
svg.wide { min-width: 44rem; }
svg.square { max-width: 34rem; }
svg.definitions { position: absolute; width: 0; height: 0; }
svg.swatch { display: inline-block; width: 1.15em; height: 0.9em; vertical-align: -0.06em; }
td svg.swatch { float: left; margin: 0.36em 0.4em 0 0; }
svg text { font-size: 12px; fill: var(--soft); }
svg .axis, svg .label { fill: var(--ink); }
svg .label, svg .code { paint-order: stroke; stroke: var(--paper); stroke-width: 3px; stroke-linejoin: round; }
svg .code { fill: var(--ink); font-weight: 600; }
.grid { stroke: var(--rule); stroke-width: 1; }
.diagonal, .roof { stroke: var(--ink); stroke-width: 1.5; }
.dashed { stroke: var(--soft); stroke-dasharray: 4 4; }
.measured { stroke: var(--mark); stroke-width: 2.5; }
.faint { fill: var(--soft); opacity: 0.45; }
.marker { stroke: var(--paper); stroke-width: 0.8; fill-opacity: 0.85; }
.marker.hollow { fill-opacity: 0.15; stroke: var(--soft); stroke-width: 1.2; }
.column { fill: transparent; }
a:hover .column, a:focus .column { fill: var(--rule); fill-opacity: 0.6; }
a:hover .marker, a:focus .marker { stroke: var(--ink); stroke-width: 2; }
.way { fill: none; stroke: var(--link); stroke-width: 2; }
.conversion { fill: var(--mark); stroke: var(--paper); stroke-width: 1; }
.cell { stroke: var(--paper); stroke-width: 1; }
.own { fill: none; stroke: var(--ink); stroke-width: 2; }
.hatch { fill: none; stroke: var(--paper); stroke-width: 1.3; opacity: 0.75; }
.c0 { fill: var(--c0); } .c1 { fill: var(--c1); } .c2 { fill: var(--c2); } .c3 { fill: var(--c3); }
.c4 { fill: var(--c4); } .c5 { fill: var(--c5); } .c6 { fill: var(--c6); } .c7 { fill: var(--c7); }
.s0 { stroke: var(--c0); } .s1 { stroke: var(--c1); } .s2 { stroke: var(--c2); } .s3 { stroke: var(--c3); }
.s4 { stroke: var(--c4); } .s5 { stroke: var(--c5); } .s6 { stroke: var(--c6); } .s7 { stroke: var(--c7); }
.curve { fill: none; stroke-width: 1.5; }
.curve.main { stroke-width: 3.5; }
.curve.worst { stroke-width: 1.5; stroke-dasharray: 6 4; }
.whisker { stroke: var(--ink); stroke-width: 1.2; }
.middle { stroke: var(--ink); stroke-width: 3; }
.everything { fill: var(--soft); }
.legend { display: flex; flex-wrap: wrap; gap: 0.15rem 1.1rem; margin: 0.3rem 0; padding: 0; list-style: none;
  font-size: 0.87rem; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; }
th { text-align: left; font-weight: 600; color: var(--soft); border-bottom: 1px solid var(--rule); }
th, td { padding: 0.22rem 0.6rem 0.22rem 0; vertical-align: top; }
tbody tr { border-bottom: 1px solid var(--rule); }
tbody tr:target, details:target { background: var(--panel); outline: 2px solid var(--link); }
tr.conversion-row { color: var(--soft); font-size: 0.92em; }
td.number, th.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
td.name { min-width: 9rem; overflow-wrap: anywhere; }
td.format { white-space: nowrap; }
.shape { display: block; color: var(--soft); font-size: 0.82em; overflow-wrap: anywhere; }
.narrow-only { display: none; }
.track { display: block; width: 100%; min-width: 5rem; height: 0.5rem; margin-top: 0.4rem; }
.track i { display: block; height: 100%; min-width: 1px; background: var(--c0); border-radius: 2px; }
.track i.m { background: var(--mark); height: 3px; margin-top: 1px; }
.facts { width: auto; } .facts td:first-child { color: var(--soft); padding-right: 1.2rem; white-space: nowrap; }
details { border-bottom: 1px solid var(--rule); padding: 0.25rem 0; }
summary { cursor: pointer; overflow-wrap: anywhere; }
details details { border: 0; margin-left: 1rem; }
.tools { margin: 0.5rem 0; display: flex; flex-wrap: wrap; gap: 0.6rem; }
.tools[hidden] { display: none; }
.tools input { font: inherit; padding: 0.25rem 0.5rem; width: 20rem; max-width: 100%; }
.tools button { font: inherit; padding: 0.25rem 0.7rem; }
.note { border-left: 4px solid var(--mark); padding-left: 0.7rem; }
@media (max-width: 46rem) {
  body { padding: 0.8rem; font-size: 14px; }
  h1 { font-size: 1.35rem; }
  svg.wide text { font-size: 15px; }
  .narrow-only { display: block; }
  .wide-only { display: none; }
  td.name { min-width: 7rem; }
  .tiles { grid-template-columns: repeat(2, 1fr); }
  .tile b { font-size: 1.2rem; }
}
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  .tools { display: none; }
  a { text-decoration: none; }
  figure, .tile, tr { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  .scroll { overflow: visible; }
  svg.wide { min-width: 0; }
  .pair { grid-template-columns: 1fr 1fr; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
)";
}

// No `<` and no `&`, so that the page is well-formed XML, too.
std::string_view page_script() {
  return R"(
// A link to a layer's other candidates opens them.
function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  if (target.tagName === 'DETAILS') target.open = true;
  target.scrollIntoView({block: 'center'});
}
addEventListener('hashchange', openTarget);

const table = document.getElementById('layers');
const rows = Array.from(table.tBodies[0].rows);
const filter = document.getElementById('filter');
filter.addEventListener('input', function () {
  const wanted = filter.value.toLowerCase();
  rows.forEach(function (row) { row.hidden = !row.textContent.toLowerCase().includes(wanted); });
});
const sort = document.getElementById('sort');
let slowestFirst = false;
sort.addEventListener('click', function () {
  slowestFirst = !slowestFirst;
  const order = rows.slice();
  if (slowestFirst) order.sort(function (a, b) { return Number(b.dataset.us) - Number(a.dataset.us); });
  order.forEach(function (row) { table.tBodies[0].append(row); });
  sort.textContent = slowestFirst ? 'In the order of the network' : 'Slowest first';
});
document.getElementById('tools').hidden = false;
openTarget();
)";
}

}  // namespace convopt
