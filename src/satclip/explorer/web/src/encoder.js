// One encoder's rows: the cosine of a cell to all others, and the places that are most like it elsewhere.
// The estimate is satclip.explorer.quantise.cosines: d.d' + r r' max(0, cos(d, d'))^16.

const LISTED = 8;

export class Encoder {
  /** `eligible`: whether a cell may be listed as similar; those that only round a coast off may not. */
  constructor(about, key, arrays, grid, eligible) {
    Object.assign(this, { about, key, grid, eligible, name: about.name });
    this.array = (name) => arrays[`${key}/${name}`];
    this.rows = this.array("rows");
    this.steps = this.array("steps");
    this.width = this.steps.length;
    this.lengths = new Float32Array(grid.size);
    this.dropped = new Float32Array(grid.size);
    for (let i = 0; i < grid.size; i++) {
      let sum = 0;
      for (let j = 0; j < this.width; j++) sum += (this.rows[i * this.width + j] * this.steps[j]) ** 2;
      this.lengths[i] = Math.max(Math.sqrt(sum), 1e-12);
      this.dropped[i] = Math.sqrt(Math.max(0, 1 - sum));
    }
    this.cosines = new Float32Array(grid.size);
    this.low = 0; // the darkest end of the scale
    this.cell = -1;
  }

  /** Compare cell `q` with all: fills `cosines` and `low`. */
  compare(q) {
    const { rows, width, lengths, dropped, cosines } = this;
    const query = new Float32Array(width);
    for (let j = 0; j < width; j++) query[j] = rows[q * width + j] * this.steps[j] ** 2;
    for (let i = 0, at = 0; i < cosines.length; i++) {
      let a = 0;
      let b = 0;
      let j = 0;
      for (; j + 1 < width; j += 2, at += 2) {
        a += rows[at] * query[j];
        b += rows[at + 1] * query[j + 1];
      }
      if (j < width) a += rows[at++] * query[j];
      const dot = a + b;
      let alike = Math.min(1, Math.max(0, dot / (lengths[i] * lengths[q])));
      alike *= alike;
      alike *= alike;
      alike *= alike;
      alike *= alike;
      cosines[i] = Math.min(1, dot + dropped[i] * dropped[q] * alike);
    }
    this.cell = q;
    this.low = this.quantile(0.01);
  }

  /** Of the cosines, by a histogram. */
  quantile(share) {
    const counts = new Uint32Array(1000);
    for (const value of this.cosines) counts[Math.min(999, Math.max(0, Math.floor((value + 1) * 500)))]++;
    let sum = 0;
    for (let bin = 0; bin < 1000; bin++) {
      sum += counts[bin];
      if (sum >= share * this.cosines.length) return Math.min(bin / 500 - 1, 0.98);
    }
    return -1;
  }

  /** The most similar cells at least `beyond` km from the one compared, each half of that from the others. */
  elsewhere(beyond) {
    const { grid, cosines } = this;
    const here = grid.vector(this.cell);
    const [far, apart] = [beyond, beyond / 2].map((km) => Math.cos(km / 6371.0088));
    const left = new Uint8Array(cosines.length);
    for (let i = 0; i < left.length; i++) if (grid.cosine(here, i) < far && this.eligible(i)) left[i] = 1;
    const found = [];
    while (found.length < LISTED) { // a pass for each: a sort of all cells would hold the click up
      let best = -1;
      for (let i = 0; i < cosines.length; i++) if (left[i] && (best < 0 || cosines[i] > cosines[best])) best = i;
      if (best < 0) break;
      found.push({ cell: best, cosine: cosines[best], km: grid.kilometres(here, best) });
      const vector = grid.vector(best);
      for (let i = 0; i < left.length; i++) if (left[i] && grid.cosine(vector, i) > apart) left[i] = 0;
      left[best] = 0;
    }
    return found;
  }

  /** What a task's probe says of a cell: {predicted, truth} as numbers or names; null where unknown. */
  answer(task, i) {
    const [predicted, truth] = ["predicted", "truth"].map((what) => this.array(`${task.name}/${what}`)[i]);
    if (task.classes) return { predicted: task.classes[predicted] ?? null, truth: task.classes[truth] ?? null };
    return { predicted, truth: Number.isNaN(truth) ? null : truth };
  }

  /** The training patches nearest to a cell: [{lon, lat, cosine, km}]. */
  patches(i) {
    if (!this.about.patches) return [];
    const { each } = this.about.patches;
    const [rows, cosines, lonlat] = ["rows", "cosines", "lonlat"].map((name) => this.array(`patches/${name}`));
    return Array.from({ length: each }, (_, k) => {
      const row = rows[i * each + k];
      return { lon: lonlat[2 * row], lat: lonlat[2 * row + 1], cosine: cosines[i * each + k] };
    });
  }
}
