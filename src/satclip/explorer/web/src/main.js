// The page: what was chosen, and everything that follows it.
import { Encoder } from "./encoder.js";
import { Globe } from "./globe.js";
import { Grid, placeName, unitVector, wrapped } from "./grid.js";
import { layersOf, painter } from "./layers.js";
import { AT_SEA, card, element, nameOf, showLegend, spoken } from "./panel.js";
import { unpack } from "./unpack.js";

const $ = (id) => document.getElementById(id);
const SPOKEN_AFTER_MS = 350;
const darkness = matchMedia("(prefers-color-scheme: dark)");

function theme() {
  const style = getComputedStyle(document.documentElement);
  const value = (name) => style.getPropertyValue(`--${name}`).trim();
  const names = ["sea", "blank", "glow", "ink", "graticule"];
  return { dark: darkness.matches, ...Object.fromEntries(names.map((name) => [name, value(name)])) };
}

class Explorer {
  constructor({ header, arrays }) {
    this.header = header;
    this.grid = new Grid(header.grid, arrays.cells);
    this.countries = arrays.countries;
    const everywhere = this.grid.size === this.grid.rows * this.grid.columns;
    const eligible = (i) => everywhere || this.countries[i] !== AT_SEA;
    this.encoders = header.encoders.map((about, key) => new Encoder(about, `${key}`, arrays, this.grid, eligible));
    this.scales = Object.fromEntries(["magma", "viridis", "PuOr"].map((name) => [name, arrays[`scale/${name}`]]));
    this.cell = -1;
    this.place = this.grid.round ? [15, 20] : this.grid.centre(Math.floor(this.grid.size / 2));
    this.panels = this.buildPanels();
    try {
      this.globe = new Globe($("stage"), $("canvas"), this.panels, this.grid, arrays);
      this.globe.onPick = (lon, lat) => this.pick(lon, lat);
      this.globe.onLost = () => this.tell("The graphics were lost; reload the page to have the globe back.");
    } catch (error) {
      this.withoutGlobe(error);
    }
    this.buildMenu();
    this.listen();
    this.dress();
  }

  buildPanels() {
    $("stage").dataset.globes = this.encoders.length;
    return this.encoders.map((encoder, k) => {
      const title = this.encoders.length > 1 ? `${"AB"[k]}: ${encoder.name}` : "";
      const panel = element("div", { className: "panel" }, element("div", { className: "labels", "aria-hidden": "true" }), element("span", { className: "name" }, title));
      $("panels").append(panel);
      return panel;
    });
  }

  withoutGlobe(error) {
    this.globe = null;
    document.body.classList.add("globeless");
    $("stage").classList.add("without");
    $("panels").replaceChildren(
      element("p", { role: "alert" }, "This browser has no WebGL, so the globe cannot be drawn. Give a place as numbers: the table of similar places works without it."),
      element("p", { className: "hint" }, `${error.message ?? error}`),
    );
  }

  buildMenu() {
    const groups = new Map();
    for (const { id, label, group } of layersOf(this.encoders[0])) {
      if (!groups.has(group)) groups.set(group, element("optgroup", { label: group }));
      groups.get(group).append(element("option", { value: id }, label));
    }
    $("layer").append(...groups.values());
    this.restful = this.encoders[0].array("colours") ? "colours" : "two"; // while no place is chosen
    $("layer").value = this.restful;
  }

  listen() {
    $("layer").addEventListener("change", () => {
      if (this.layer !== "similarity") this.restful = this.layer;
      this.paint();
    });
    $("go").addEventListener("submit", (event) => {
      event.preventDefault();
      this.pick($("lon").valueAsNumber, $("lat").valueAsNumber, true);
    });
    $("follow").addEventListener("change", (event) => this.follow(event.target.checked));
    $("clear").addEventListener("click", () => this.clear());
    $("nearer").addEventListener("click", () => this.globe?.zoom(0.75));
    $("farther").addEventListener("click", () => this.globe?.zoom(1 / 0.75));
    $("stage").addEventListener("keydown", (event) => this.key(event));
    darkness.addEventListener("change", () => this.dress());
  }

  get layer() {
    return $("layer").value;
  }

  dress() {
    const now = theme();
    for (const sphere of this.globe?.spheres ?? []) sphere.dress(now);
    this.paint();
  }

  paint() {
    for (const [k, encoder] of this.encoders.entries()) {
      const layer = this.has(encoder, this.layer) ? this.layer : "two";
      const { colour, legend } = painter(layer, encoder, this.scales, darkness.matches, this.encoders.length > 1);
      if (k === 0) showLegend($("legend"), this.encoders.length > 1 && legend.kind === "ramp" && layer === "similarity" ? { ...legend, low: "least", high: "1" } : legend);
      this.globe?.spheres[k].paint(colour, /regions|predicted|error/.test(layer) && !layer.includes("elevation"));
    }
    this.globe?.draw();
  }

  has(encoder, layer) {
    return layersOf(encoder).some(({ id }) => id === layer);
  }

  follow(on) {
    if (!this.globe) return;
    this.globe.onHover = on ? (lon, lat) => this.pick(lon, lat, false, true) : null;
  }

  /** Choose a place: everything follows. `turn`: bring it to the front. `brief`: it will move on at once. */
  pick(lon, lat, turn = false, brief = false) {
    if (!Number.isFinite(lon) || !Number.isFinite(lat) || Math.abs(lat) > 90 || lon < -180 || lon > 360) {
      return this.tell("A place has a longitude from -180 to 360 and a latitude from -90 to 90.");
    }
    this.place = [wrapped(lon), lat];
    $("lon").value = +this.place[0].toFixed(2);
    $("lat").value = +lat.toFixed(2);
    if (turn) this.globe?.turnTo(lon, lat);
    const cell = this.grid.at(lon, lat);
    if (cell < 0) return this.nothingHere();
    if (cell === this.cell && brief) return undefined;
    this.cell = cell;
    for (const encoder of this.encoders) encoder.compare(cell);
    if (["colours", "two"].includes(this.layer)) $("layer").value = "similarity";
    this.paint();
    if (brief) clearTimeout(this.later);
    if (brief) this.later = setTimeout(() => this.report(), 60);
    else this.report();
    return undefined;
  }

  nothingHere() {
    const words = this.header.regional ? "outside the region, or at sea" : "at sea or in Antarctica";
    this.mark([]);
    this.tell(`${placeName(...this.place)} is ${words}: this page holds no embedding there.`);
  }

  report() {
    const { grid, countries, header, encoders, cell } = this;
    const about = { grid, countries, names: header.countries };
    const found = encoders.map((encoder) => encoder.elsewhere(header.elsewhere_km));
    const [where, country] = nameOf(cell, grid, countries, header.countries);
    $("where").replaceChildren(element("strong", {}, country), ` ${where}`);
    const more = { ...about, elsewhere: header.elsewhere_km, both: encoders.length > 1, jump: (lon, lat) => this.pick(lon, lat, true) };
    $("cards").replaceChildren(...encoders.map((encoder, k) => card(encoder, k, cell, found[k], more)));
    document.body.classList.add("chosen");
    this.mark(found);
    this.tell(spoken(encoders, cell, found, about));
  }

  mark(found) {
    for (const k of this.globe ? this.encoders.keys() : []) {
      const list = found[k] ?? [];
      const here = { xyz: unitVector(...this.place), text: "", kind: "here" };
      this.globe.mark(k, [...list.map(({ cell }, rank) => ({ xyz: this.grid.vector(cell), text: `${rank + 1}`, kind: "like" })), here]);
    }
  }

  clear() {
    this.cell = -1;
    for (const encoder of this.encoders) encoder.cell = -1;
    document.body.classList.remove("chosen");
    $("cards").replaceChildren();
    $("where").textContent = "No place chosen";
    for (const k of this.globe ? this.encoders.keys() : []) this.globe.mark(k, []);
    $("layer").value = this.restful;
    this.paint();
    this.tell("No place chosen.");
  }

  key(event) {
    const step = Math.max(1, this.grid.stepY) * (event.shiftKey ? 10 : 1) * (this.grid.round ? 1 : Math.min(1, 2 * this.grid.stepY));
    const [lon, lat] = this.place;
    const moves = { ArrowUp: [0, 1], ArrowDown: [0, -1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };
    if (event.altKey || event.ctrlKey || event.metaKey || event.target !== $("stage")) return;
    if (moves[event.key]) {
      const [right, up] = moves[event.key];
      const first = this.cell < 0 && !$("lon").value;
      const next = first ? [lon, lat] : [wrapped(lon + right * step), Math.min(90, Math.max(-90, lat + up * step))];
      this.pick(...next, true);
    } else if (event.key === "+" || event.key === "=") this.globe?.zoom(0.8);
    else if (event.key === "-") this.globe?.zoom(1.25);
    else if (event.key === "Escape") this.clear();
    else if (event.key === "Home") {
      this.globe?.home();
      this.globe?.draw();
    } else return;
    event.preventDefault();
  }

  /** One line for all: seen under the globe, read out once the place rests. */
  tell(text) {
    clearTimeout(this.speaking);
    $("status").textContent = text;
    this.speaking = setTimeout(() => ($("live").textContent = text), SPOKEN_AFTER_MS);
  }
}

async function start() {
  try {
    const explorer = new Explorer(await unpack());
    window.explorer = explorer; // for a console, a notebook or a test
    document.body.classList.add("ready");
  } catch (error) {
    $("status").textContent = `This page could not be opened: ${error.message}. It needs a browser of 2023 or newer.`;
    document.body.classList.add("failed");
    throw error;
  }
}

start();
