// What the cells can be painted with: names for the menu, colours for the cells, and a legend.

// Okabe and Ito 2008: told apart with every kind of colour blindness. The last, black, is grey here: it must show on both grounds.
export const OKABE_ITO = [
  [0, 114, 178], [230, 159, 0], [0, 158, 115], [204, 121, 167], [86, 180, 233], [213, 94, 0], [240, 228, 66], [120, 120, 120],
];
const RIGHT = [0, 114, 178];
const WRONG = [230, 159, 0];
const TINTS = [1, 0.62, 1.45]; // more classes than colours: the same colours darker, then lighter

const tinted = (code) =>
  OKABE_ITO[code % 8].map((value) => Math.min(255, Math.round(value * TINTS[Math.floor(code / 8) % 3])));
export const taskName = (name) => name.replaceAll("_", " ");
const sentence = (text) => text[0].toUpperCase() + text.slice(1);

/** The menu: [{id, label, group}], for layers that the first encoder has. */
export function layersOf(encoder) {
  const found = [{ id: "similarity", label: "Similarity to the chosen place", group: "Embedding" }];
  if (encoder.array("colours")) found.push({ id: "colours", label: "Three components, natural colours", group: "Embedding" });
  found.push({ id: "two", label: "Two components, for colour-blind eyes", group: "Embedding" });
  if (encoder.about.regions) found.push({ id: "regions", label: "Regions (k-means)", group: "Embedding" });
  for (const task of encoder.about.tasks) {
    const name = sentence(taskName(task.name));
    found.push({ id: `predicted:${task.name}`, label: `${name}: predicted`, group: "Read out by a probe" });
    found.push({ id: `error:${task.name}`, label: `${name}: ${task.classes ? "right or wrong" : "error"}`, group: "Read out by a probe" });
  }
  return found;
}

/** Blue to yellow by the first component, dark to light by the second: [0, 255] each to RGB. */
export function twoColour(first, second) {
  const hue = first / 255;
  const light = 0.45 + 0.55 * (second / 255);
  const mix = (low, high) => Math.round((low + (high - low) * hue) * light + 40 * (second / 255) * (1 - light));
  return [mix(58, 255), mix(96, 211), mix(235, 72)];
}

const step = (share) => Math.min(255, Math.max(0, Math.round(255 * share)));

/** From a share of the scale to its colour. `of`: where on the scale a share lies. Colours are made once, not for each cell. */
function ramp(scale, of = (share) => share) {
  const colours = Array.from({ length: 256 }, (_, k) => [...scale.subarray(3 * step(of(k / 255)), 3 * step(of(k / 255)) + 3)]);
  return (share) => colours[step(share)];
}

function spread(values) {
  const known = Float32Array.from(values.filter((value) => !Number.isNaN(value))).sort();
  if (!known.length) return [0, 1];
  const at = (share) => known[Math.min(known.length - 1, Math.floor(share * known.length))];
  return [at(0.01), Math.max(at(0.99), at(0.01) + 1e-6)];
}

/** A function from a cell to its colour, or null for none; and the legend. `scales` are 256 RGB values each. */
export function painter(layer, encoder, scales, dark, both) {
  if (layer === "similarity") {
    if (encoder.cell < 0) return { colour: () => null, legend: { kind: "none" } };
    const { cosines, low } = encoder;
    const at = ramp(scales.magma, (share) => (dark ? 0.04 + 0.94 * share : 0.97 - 0.85 * share));
    const colour = (i) => at((cosines[i] - low) / (1 - low));
    return { colour, legend: { kind: "ramp", at, low: low.toFixed(2), high: "1", title: "cosine similarity" } };
  }
  if (layer === "colours" || layer === "two") return components(layer, encoder);
  if (layer === "regions") return regions(encoder, both);
  const [what, name] = layer.split(":");
  const task = encoder.about.tasks.find((each) => each.name === name);
  const predicted = encoder.array(`${name}/predicted`);
  const truth = encoder.array(`${name}/truth`);
  return (task.classes ? classes : numbers)(what, task, predicted, truth, scales);
}

function components(layer, encoder) {
  const values = encoder.array(layer === "colours" && encoder.array("colours") ? "colours" : "two");
  if (values.length === 3 * encoder.grid.size) {
    const colour = (i) => [values[3 * i], values[3 * i + 1], values[3 * i + 2]];
    return { colour, legend: { kind: "text", text: "Like colours, like embeddings: the first three principal components." } };
  }
  const colour = (i) => twoColour(values[2 * i], values[2 * i + 1]);
  return { colour, legend: { kind: "square", at: twoColour, x: "first component", y: "second" } };
}

function regions(encoder, both) {
  const of = encoder.array("regions");
  const mine = encoder.cell < 0 ? -1 : of[encoder.cell];
  const colour = (i) => {
    const plain = OKABE_ITO[of[i]];
    return mine < 0 || of[i] === mine ? plain : plain.map((value) => Math.round(value * 0.4 + 215 * 0.6 * 0.8));
  };
  const entries = encoder.about.regions.map((share, k) => ({
    colour: OKABE_ITO[k], text: both ? `${k + 1}` : `${k + 1}: ${(100 * share).toFixed(0)} % of the area`, strong: !both && k === mine,
  }));
  return { colour, legend: { kind: "list", entries, note: both ? "Each model's own regions, the largest first." : "" } };
}

function numbers(what, task, predicted, truth, scales) {
  const unit = task.unit ? ` ${task.unit}` : "";
  const [low, high] = spread(truth); // which two encoders share
  const label = (value) => `${Math.round(value).toLocaleString("en")}${unit}`;
  if (what === "predicted") {
    const at = ramp(scales.viridis);
    const colour = (i) => at((predicted[i] - low) / (high - low));
    return { colour, legend: { kind: "ramp", at, low: label(low), high: label(high), title: `${taskName(task.name)}, predicted` } };
  }
  const most = (high - low) / 2;
  const at = ramp(scales.PuOr);
  const colour = (i) => (Number.isNaN(truth[i]) ? null : at(0.5 + (predicted[i] - truth[i]) / (2 * most)));
  return { colour, legend: { kind: "ramp", at, low: `-${label(most)}`, high: `+${label(most)}`, title: "predicted minus true" } };
}

function classes(what, task, predicted, truth) {
  if (what === "error") {
    const colour = (i) => (truth[i] >= task.classes.length ? null : truth[i] === predicted[i] ? RIGHT : WRONG);
    return { colour, legend: { kind: "list", entries: [{ colour: RIGHT, text: "right" }, { colour: WRONG, text: "wrong" }] } };
  }
  // By how common they are in truth, which two encoders share, so that a colour means the same on both globes.
  const counts = task.classes.map(() => 0);
  for (const code of truth) if (code < counts.length) counts[code]++;
  const order = [...counts.keys()].sort((a, b) => counts[b] - counts[a] || a - b);
  const rank = new Map(order.map((code, k) => [code, k]));
  const entries = order.filter((code) => counts[code]).slice(0, 24).map((code, k) => ({ colour: tinted(k), text: task.classes[code] }));
  return { colour: (i) => tinted(rank.get(predicted[i])), legend: { kind: "list", entries } };
}
