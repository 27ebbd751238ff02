// The cells of the page on the sphere. Degrees outside, numbers of kept cells inside.

const EARTH_RADIUS_KM = 6371.0088;
const RADIANS = Math.PI / 180;

/** A place in degrees on the unit sphere, y up: the axes of the globe. */
export function unitVector(lon, lat) {
  const ring = Math.cos(lat * RADIANS);
  return [ring * Math.cos(lon * RADIANS), Math.sin(lat * RADIANS), -ring * Math.sin(lon * RADIANS)];
}

/** The place of a vector, [lon, lat] in degrees. */
export function placeOf(x, y, z) {
  return [Math.atan2(-z, x) / RADIANS, Math.atan2(y, Math.hypot(x, z)) / RADIANS];
}

export const wrapped = (lon) => ((((lon + 180) % 360) + 360) % 360) - 180;

/** `48.5° N, 2.5° E` */
export function placeName(lon, lat) {
  const east = wrapped(lon);
  const shown = (degrees) => +Math.abs(degrees).toFixed(2);
  return `${shown(lat)}° ${lat < 0 ? "S" : "N"}, ${shown(east)}° ${east < 0 ? "W" : "E"}`;
}

export class Grid {
  constructor({ rows, columns, west, north, width, height }, numbers) {
    Object.assign(this, { rows, columns, west, north, width, height, numbers });
    this.stepX = width / columns;
    this.stepY = height / rows;
    this.round = width >= 360;
    this.kept = new Int32Array(rows * columns).fill(-1);
    this.xyz = new Float32Array(3 * numbers.length);
    for (let i = 0; i < numbers.length; i++) {
      this.kept[numbers[i]] = i;
      this.xyz.set(unitVector(...this.centre(i)), 3 * i);
    }
  }

  get size() {
    return this.numbers.length;
  }

  /** The middle of a cell, [lon, lat]. */
  centre(i) {
    const row = Math.floor(this.numbers[i] / this.columns);
    const column = this.numbers[i] % this.columns;
    return [wrapped(this.west + (column + 0.5) * this.stepX), this.north - (row + 0.5) * this.stepY];
  }

  /** The kept cell of a place, else the nearest within two cells of it, else -1. */
  at(lon, lat) {
    const x = Math.floor(((((lon - this.west) % 360) + 360) % 360) / this.stepX);
    const y = Math.min(this.rows - 1, Math.floor((this.north - lat) / this.stepY));
    const here = unitVector(lon, lat);
    let best = -1;
    let nearest = -2;
    for (let down = -2; down <= 2; down++) {
      const row = y + down;
      if (row < 0 || row >= this.rows) continue;
      for (let right = -2; right <= 2; right++) {
        const column = this.round ? (x + right + this.columns) % this.columns : x + right;
        if (column < 0 || column >= this.columns) continue;
        const i = this.kept[row * this.columns + column];
        if (i < 0) continue;
        if (!down && !right) return i;
        const cosine = this.cosine(here, i);
        if (cosine > nearest) [best, nearest] = [i, cosine];
      }
    }
    return best;
  }

  cosine([x, y, z], i) {
    return x * this.xyz[3 * i] + y * this.xyz[3 * i + 1] + z * this.xyz[3 * i + 2];
  }

  vector(i) {
    return [this.xyz[3 * i], this.xyz[3 * i + 1], this.xyz[3 * i + 2]];
  }

  /** Great-circle distance between a vector and a cell. */
  kilometres([x, y, z], i) {
    const chord = Math.hypot(x - this.xyz[3 * i], y - this.xyz[3 * i + 1], z - this.xyz[3 * i + 2]);
    return 2 * EARTH_RADIUS_KM * Math.asin(Math.min(1, chord / 2));
  }
}

export function kilometresBetween(a, b) {
  return 2 * EARTH_RADIUS_KM * Math.asin(Math.min(1, Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]) / 2));
}
