// Words, tables and legends: all that the page says besides the globe.
import { placeName } from "./grid.js";
import { taskName } from "./layers.js";

export const AT_SEA = 65535; // satclip.explorer.cells
const LETTERS = ["A", "B"];

export function element(tag, options = {}, ...children) {
  const { className, ...attributes } = options;
  const made = document.createElement(tag);
  if (className) made.className = className;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const css = ([r, g, b]) => `rgb(${r},${g},${b})`;
const number = (value) => Math.round(value).toLocaleString("en");
const figure = (value) => (value === null ? "n/a" : value.toFixed(2).replace(/^(-?)0\./, "$1."));

/** Where a cell lies, with its country. */
export function nameOf(cell, grid, countries, names) {
  const country = countries[cell];
  return [placeName(...grid.centre(cell)), country === AT_SEA ? "off the coast" : names[country]];
}

/** The legend of a layer into `box`. */
export function showLegend(box, legend) {
  box.replaceChildren();
  if (legend.kind === "none") box.append(element("p", {}, "Choose a place to see what is like it."));
  if (legend.kind === "text") box.append(element("p", {}, legend.text));
  if (legend.kind === "ramp") {
    const stops = Array.from({ length: 17 }, (_, k) => css(legend.at(k / 16))).join(",");
    const bar = element("div", { className: "ramp" });
    bar.style.background = `linear-gradient(90deg, ${stops})`;
    box.append(bar, element("div", { className: "ends" }, element("span", {}, legend.low), element("span", {}, legend.title), element("span", {}, legend.high)));
  }
  if (legend.kind === "square") {
    const canvas = element("canvas", { className: "square", width: 16, height: 16, "aria-hidden": "true" });
    const pen = canvas.getContext("2d");
    for (let x = 0; x < 16; x++) {
      for (let y = 0; y < 16; y++) {
        pen.fillStyle = css(legend.at(x * 17, (15 - y) * 17));
        pen.fillRect(x, y, 1, 1);
      }
    }
    box.append(element("div", { className: "beside" }, canvas, element("p", {}, `Blue to yellow: the ${legend.x}. Dark to light: the ${legend.y}.`)));
  }
  if (legend.kind === "list") {
    const list = element("ul", { className: "swatches" });
    for (const { colour, text, strong } of legend.entries) {
      const swatch = element("i", { "aria-hidden": "true" });
      swatch.style.background = css(colour);
      list.append(element("li", strong ? { className: "strong" } : {}, swatch, text));
    }
    box.append(list);
    if (legend.note) box.append(element("p", {}, legend.note));
  }
}

/** What the probes say of a cell, one line a task: [[term, answer, note]]. */
export function taskLines(encoder, cell) {
  return encoder.about.tasks.map((task) => {
    const { predicted, truth } = encoder.answer(task, cell);
    const [value, low, high] = task.score;
    const metric = task.metric === "R2" ? "R²" : task.metric;
    const note = `${metric} ${figure(value)} [${figure(low)}, ${figure(high)}] where no label lies in the same ${task.degrees}° cell; ${number(task.labels)} labels`;
    if (task.classes) {
      const judged = truth === null ? "unknown there" : truth === predicted ? "right" : `wrong: ${truth}`;
      return [taskName(task.name), `${predicted} (${judged})`, note];
    }
    const off = truth === null ? null : predicted - truth;
    const error = off === null ? "true value unknown" : `true ${number(truth)}, error ${off < 0 ? "−" : "+"}${number(Math.abs(off))} ${task.unit}`;
    return [taskName(task.name), `${number(predicted)} ${task.unit} (${error})`, note];
  });
}

/** One encoder's answer about a place: its list of similar places, patches, region and tasks. */
export function card(encoder, which, cell, found, { grid, countries, names, elsewhere, both, jump }) {
  const title = both ? `${LETTERS[which]}: ${encoder.name}` : "Most similar places elsewhere";
  const table = element("table", { className: "places" });
  table.append(element("caption", {}, both ? `${title}: most similar places elsewhere` : title));
  const head = ["", "place", "cosine", "km away"].map((text) => element("th", { scope: "col" }, text));
  table.append(element("thead", {}, element("tr", {}, ...head)));
  const body = element("tbody");
  for (const [rank, { cell: there, cosine, km }] of found.entries()) {
    const [where, country] = nameOf(there, grid, countries, names);
    const go = element("button", { type: "button", title: "Go there" }, country, element("small", {}, where));
    go.addEventListener("click", () => jump(...grid.centre(there)));
    body.append(element("tr", { "data-cell": there }, element("td", {}, `${rank + 1}`), element("td", {}, go), element("td", {}, cosine.toFixed(3)), element("td", {}, number(km))));
  }
  table.append(body);
  const parts = [table, element("p", { className: "hint" }, `At least ${number(elsewhere)} km from here, and ${number(elsewhere / 2)} km from each other.`)];
  const facts = element("dl", { className: "facts" });
  if (encoder.about.regions) {
    const region = encoder.array("regions")[cell];
    facts.append(element("dt", {}, "region"), element("dd", {}, `${region + 1} of ${encoder.about.regions.length}`));
  }
  for (const [term, answer, note] of taskLines(encoder, cell)) {
    facts.append(element("dt", {}, term), element("dd", {}, answer, element("small", {}, note)));
  }
  const patches = encoder.patches(cell);
  if (patches.length) {
    const lines = patches.map(({ lon, lat, cosine }) => {
      const go = element("button", { type: "button" }, placeName(+lon.toFixed(1), +lat.toFixed(1)));
      go.addEventListener("click", () => jump(lon, lat));
      return element("li", {}, go, ` ${cosine.toFixed(3)}`);
    });
    facts.append(element("dt", {}, "training patches"), element("dd", {}, element("ol", {}, ...lines), element("small", {}, `whose pictures are nearest, of ${number(encoder.about.patches.searched)}`)));
  }
  return element("section", { className: "card", "aria-label": title }, ...parts, ...(facts.children.length ? [facts] : []));
}

/** The same for someone who listens. */
export function spoken(encoders, cell, found, { grid, countries, names }) {
  const [where, country] = nameOf(cell, grid, countries, names);
  const lists = encoders.map((encoder, k) => {
    const places = found[k].slice(0, 3).map(({ cell: there, cosine }) => `${nameOf(there, grid, countries, names).reverse().join(", ")}, cosine ${cosine.toFixed(2)}`);
    const whose = encoders.length > 1 ? ` for ${encoder.name}` : "";
    return places.length ? `Most similar elsewhere${whose}: ${places.join("; ")}.` : `Nothing lies far enough away${whose}.`;
  });
  return `${where}, ${country}. ${lists.join(" ")}`;
}
