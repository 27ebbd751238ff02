"use strict";
// The page of a sweep. DATA is written by sweep_page.py; everything shown is set as text, never as HTML.
const DATA = JSON.parse(document.getElementById("data").textContent);
const COLOURS = ["#2e6fbf", "#c8553d", "#0b7350", "#8a5fb0", "#b58a1b", "#55616c", "#3aa6a0", "#d47ba6"];
const STEP = 50, MOST_LINES = 60, MOST_PARALLEL = 600;
const byId = (id) => document.getElementById(id);
const columns = [
  {key: "name", head: "run"}, {key: "state", head: "state"},
  ...DATA.options.map((name, i) => ({key: name, head: name, option: i})),
  {key: "epoch", head: "best epoch", figure: DATA.epoch},
  ...DATA.columns.map((name) => ({key: name, head: DATA.short[name] || name, figure: DATA.figures.indexOf(name)})),
];
let shown = STEP, order = {column: null, up: true}, rows = DATA.runs;

function value(run, column) {
  if (column.option !== undefined) return run.o[column.option];
  if (column.figure !== undefined) return run.f[column.figure];
  return run[column.key];
}
function text(run, column) {
  const found = value(run, column);
  if (found === null || found === undefined) return "–";
  if (column.figure === undefined) {
    const drawn = column.option !== undefined && String(found).length > 8 && String(found).trim() !== "" ? Number(found) : NaN;
    return Number.isFinite(drawn) ? String(+drawn.toPrecision(4)) : String(found);
  }
  if (typeof found !== "number") return String(found);
  const unit = DATA.units[column.key] || "";
  if (column.key === "epoch") return String(found);
  if (unit === "km" && Math.abs(found) >= 10) return Math.round(found).toLocaleString("en");
  if (column.key.startsWith("gain/")) return (found >= 0 ? "+" : "") + found.toFixed(3);
  return Math.abs(found) < 1e-3 && found !== 0 ? found.toExponential(2) : Math.abs(found) >= 1 ? String(+found.toPrecision(4)) : found.toFixed(3);
}
function rank(found) {  // numbers before words before nothing, so that a column of both has one order
  if (found === null || found === undefined || found === "–" || found === "NaN") return [2, 0];
  const number = typeof found === "number" ? found : (String(found).trim() === "" ? NaN : Number(found));
  return Number.isNaN(number) ? [1, String(found)] : [0, number];
}
function compare(a, b, up) {
  const [x, v] = rank(a), [y, w] = rank(b);
  if (x !== y) return x - y;  // what is missing stays last whichever way
  const less = typeof v === "string" ? v.localeCompare(w) : v - w;
  return up ? less : -less;
}
function test(term) {  // `L>=20`, `state=failed`, or any text
  const found = term.match(/^(.+?)(<=|>=|!=|=|<|>)(.*)$/);
  const column = found && (columns.find((c) => c.head === found[1] || c.key === found[1]) ||
    columns.find((c) => c.head.includes(found[1]) || c.key.includes(found[1])));
  if (!column) return (run) => columns.some((c) => text(run, c).toLowerCase().includes(term.toLowerCase())) ||
    run.note.toLowerCase().includes(term.toLowerCase());
  const [, , sign, wanted] = found;
  return (run) => {
    const mine = value(run, column), same = String(mine) === wanted || text(run, column) === wanted ||
      (wanted !== "" && rank(mine)[0] === 0 && Number(mine) === Number(wanted));
    if (sign === "=") return same;
    if (sign === "!=") return !same;
    if (rank(mine)[0] !== 0 || wanted === "") return false;
    const [x, y] = [Number(mine), Number(wanted)];
    return {"<": x < y, ">": x > y, "<=": x <= y, ">=": x >= y}[sign];
  };
}
function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, content] of Object.entries(attributes || {})) made.setAttribute(name, content);
  made.append(...children);
  return made;
}
function svg(tag, attributes, words) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, content] of Object.entries(attributes || {})) made.setAttribute(name, content);
  if (words !== undefined) made.textContent = words;
  return made;
}
function titled(node, words) { node.append(svg("title", {}, words)); return node; }

function head() {
  const line = element("tr");
  columns.forEach((column, i) => {
    const button = element("button", {type: "button"}, column.head);
    if (DATA.means[column.key]) button.title = DATA.means[column.key];
    button.addEventListener("click", () => {
      order = {column: i, up: order.column === i ? !order.up : !DATA.higher.includes(column.key)};
      update();
    });
    const cell = element("th", {scope: "col"}, button);
    if (order.column === i) cell.setAttribute("aria-sort", order.up ? "ascending" : "descending");
    line.append(cell);
  });
  byId("runs").tHead.replaceChildren(line);
}
function body() {
  const lines = rows.slice(0, shown).map((run) => {
    const line = element("tr", {"data-run": run.name});
    columns.forEach((column) => {
      const cell = element("td", {class: column.figure !== undefined ? "figure" : column.key === "name" ? "name" : ""});
      if (column.key === "name") cell.append(run.page ? element("a", {href: run.page}, run.name) : run.name);
      else if (column.key === "state") {
        cell.append(element("span", {class: "state " + run.state, title: run.note}, run.state));
        if (run.note && run.state !== "finished") cell.append(element("div", {class: "note"}, run.note.slice(0, 90)));
      } else cell.append(text(run, column));
      line.append(cell);
    });
    return line;
  });
  byId("runs").tBodies[0].replaceChildren(...lines);
  byId("count").textContent = `${rows.length.toLocaleString("en")} of ${DATA.runs.length.toLocaleString("en")} runs` +
    (rows.length > shown ? `, ${shown} shown` : "");
  byId("more").hidden = rows.length <= shown;
}
function palette() {
  const by = byId("colour").value, i = DATA.options.indexOf(by), names = [...new Set(DATA.runs.map((r) => r.o[i]))].sort((a, b) => compare(a, b, true));
  const colour = (run) => i < 0 ? COLOURS[0] : COLOURS[names.indexOf(run.o[i]) % COLOURS.length];
  byId("legend").replaceChildren(...(i < 0 || names.length > 12 ? [] : names).map((name) =>
    element("span", {}, element("i", {style: `background:${COLOURS[names.indexOf(name) % COLOURS.length]}`}), `${by} = ${name}`)));
  return colour;
}
function scale(values, low, high) {
  let a = Math.min(...values), b = Math.max(...values);
  if (!(b > a)) { a -= 0.5; b += 0.5; }
  const to = (v) => low + (v - a) / (b - a) * (high - low);
  to.range = [a, b];
  return to;
}
const few = (v) => Math.abs(v) >= 1e5 || (Math.abs(v) < 1e-3 && v !== 0) ? v.toExponential(1) : String(+v.toPrecision(3));

function parallel(colour) {
  const box = byId("parallel"), names = [...DATA.options.map((n, i) => ({n, get: (r) => r.o[i]}))];
  const score = byId("score").value, s = DATA.figures.indexOf(score);
  names.push({n: DATA.short[score] || score, get: (r) => r.f[s]});
  const runs = rows.filter((r) => rank(r.f[s])[0] === 0).slice(0, MOST_PARALLEL);
  box.replaceChildren();
  if (names.length < 2 || !runs.length) { box.textContent = "Nothing to draw: no run that is shown has this figure, or no option differs."; return; }
  const gap = Math.max(90, Math.min(190, 1100 / (names.length - 1))), width = gap * (names.length - 1) + 180, height = 300;
  const drawing = svg("svg", {viewBox: `0 0 ${width} ${height}`, width, height, role: "img"});
  const places = names.map((axis, i) => {
    const found = runs.map(axis.get), numeric = found.every((v) => rank(v)[0] === 0), x = 90 + i * gap;
    let y, ticks;
    if (numeric) {
      const to = scale(found.map(Number), 262, 30);
      const distinct = [...new Set(found.map(Number))].sort((a, b) => a - b);
      y = (v) => to(Number(v));
      ticks = distinct.length <= 6 ? distinct : to.range;
    } else {
      const words = [...new Set(found.map((v) => v === null ? "–" : String(v)))].sort((a, b) => compare(a, b, true));
      y = (v) => words.length < 2 ? 146 : 262 - 232 * words.indexOf(v === null ? "–" : String(v)) / (words.length - 1);
      ticks = words.length <= 14 ? words : [];
    }
    drawing.append(svg("line", {x1: x, x2: x, y1: 26, y2: 266, stroke: "#9aa7b1"}));
    drawing.append(titled(svg("text", {x, y: 288, "text-anchor": "middle", class: "axis"}, axis.n.length > 22 ? "…" + axis.n.slice(-21) : axis.n), axis.n));
    ticks.forEach((t) => drawing.append(svg("text", {x: x + 5, y: y(t) + 3, class: "tick"}, typeof t === "number" ? few(t) : t.slice(0, 18))));
    return {x, y};
  });
  runs.forEach((run) => {
    const points = names.map((axis, i) => `${places[i].x},${places[i].y(axis.get(run)).toFixed(1)}`).join(" ");
    drawing.insertBefore(titled(svg("polyline", {points, fill: "none", stroke: colour(run), "stroke-width": 1.3, opacity: Math.max(0.15, Math.min(0.8, 30 / runs.length)), class: "run"}), run.name), drawing.firstChild);
  });
  box.append(drawing);
}
function frame(box, xs, ys, xlabel, ylabel, distinct) {
  const width = Math.max(320, Math.min(620, box.clientWidth || 620)), height = 320;
  const x = scale(xs, 62, width - 14), y = scale(ys, height - 40, 26);
  const marks = distinct && distinct.length <= 8 ? distinct : [0, 1, 2, 3, 4].map((i) => x.range[0] + (x.range[1] - x.range[0]) * i / 4);
  let end = -Infinity;
  const drawing = svg("svg", {viewBox: `0 0 ${width} ${height}`, width, height, role: "img"});
  for (let i = 0; i <= 4; i++) {
    const v = y.range[0] + (y.range[1] - y.range[0]) * i / 4;
    drawing.append(svg("line", {x1: 62, x2: width - 14, y1: y(v), y2: y(v), stroke: "#edf0f3"}));
    drawing.append(svg("text", {x: 57, y: y(v) + 3, "text-anchor": "end", class: "tick"}, few(v)));
  }
  for (const u of marks) {
    if (x(u) - end < 34) continue;  // labels that would cover each other
    end = x(u);
    drawing.append(svg("text", {x: x(u), y: height - 24, "text-anchor": "middle", class: "tick"}, few(u)));
  }
  drawing.append(svg("text", {x: width / 2, y: height - 6, "text-anchor": "middle", class: "axis"}, xlabel));
  drawing.append(svg("text", {x: 62, y: 12, class: "axis"}, ylabel));
  box.append(drawing);
  return {drawing, x, y};
}
function curves(colour) {
  const box = byId("curves"), name = byId("curve").value;
  const runs = rows.filter((r) => r.c[name] && r.c[name].length).slice(0, MOST_LINES);
  box.replaceChildren();
  if (!runs.length) { box.textContent = "No run that is shown has this curve."; return; }
  const points = runs.flatMap((r) => r.c[name]).filter((p) => p[1] !== null);
  if (!points.length) { box.textContent = "The curves that are shown hold nothing but NaN."; return; }
  const {drawing, x, y} = frame(box, points.map((p) => p[0]), points.map((p) => p[1]), "optimiser steps", name);
  runs.forEach((run) => {
    let path = "", pen = false;
    run.c[name].forEach(([step, v]) => { if (v === null) { pen = false; return; } path += `${pen ? "L" : "M"}${x(step).toFixed(1)} ${y(v).toFixed(1)}`; pen = true; });
    drawing.append(titled(svg("path", {d: path, fill: "none", stroke: colour(run), "stroke-width": 1.4, class: "run"}), `${run.name} (${run.state})`));
  });
}
function spread(colour) {
  const box = byId("spread"), by = byId("axis").value, i = DATA.options.indexOf(by), score = byId("score").value, s = DATA.figures.indexOf(score);
  const runs = rows.filter((r) => i >= 0 && rank(r.o[i])[0] === 0 && rank(r.f[s])[0] === 0);
  box.replaceChildren();
  if (!runs.length) { box.textContent = "No option that is a number differs among the runs that are shown."; return; }
  const {drawing, x, y} = frame(box, runs.map((r) => Number(r.o[i])), runs.map((r) => r.f[s]), by, score,
    [...new Set(runs.map((r) => Number(r.o[i])))].sort((a, b) => a - b));
  const lines = new Map();
  runs.forEach((run) => {
    drawing.append(titled(svg("circle", {cx: x(Number(run.o[i])), cy: y(run.f[s]), r: 3, fill: colour(run), opacity: 0.55}), `${run.name}: ${few(run.f[s])}`));
    const c = colour(run), at = Number(run.o[i]);
    if (!lines.has(c)) lines.set(c, new Map());
    lines.get(c).set(at, [...(lines.get(c).get(at) || []), run.f[s]]);
  });
  lines.forEach((means, c) => {
    const points = [...means].sort((a, b) => a[0] - b[0]).map(([at, v]) => [at, v.reduce((a, b) => a + b) / v.length]);
    drawing.append(svg("polyline", {points: points.map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`).join(" "), fill: "none", stroke: c, "stroke-width": 1.6}));
  });
}
function update() {
  const terms = (byId("filter").value.match(/\S+/g) || []).map(test), state = byId("state").value;
  rows = DATA.runs.filter((run) => (!state || run.state === state) && terms.every((each) => each(run)));
  if (order.column !== null) rows = [...rows].sort((a, b) => compare(value(a, columns[order.column]), value(b, columns[order.column]), order.up));
  head(); body();
  const colour = palette();
  parallel(colour); curves(colour); spread(colour);
}
function choices(id, names, first, label) {
  byId(id).replaceChildren(...names.map((name) => element("option", {value: name}, label ? label(name) : name)));
  if (names.includes(first)) byId(id).value = first;
  byId(id).addEventListener("change", () => { shown = STEP; update(); });
}
choices("state", ["", ...new Set(DATA.runs.map((r) => r.state))], "", (s) => s || "every state");
choices("score", DATA.figures.filter((n) => n !== "epoch"), DATA.score);
choices("colour", ["", ...DATA.options], DATA.colour, (n) => n || "one colour");
choices("axis", DATA.options, DATA.axis);
choices("curve", DATA.curves, DATA.curves.includes("val/loss") ? "val/loss" : DATA.curves[0]);
byId("filter").addEventListener("input", () => { shown = STEP; update(); });
byId("more").addEventListener("click", () => { shown += 200; body(); });
order = {column: columns.findIndex((c) => c.key === DATA.score), up: !DATA.higher.includes(DATA.score)};
if (order.column < 0) order.column = null;
update();
