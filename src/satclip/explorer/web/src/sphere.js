// The meshes of one globe: the painted sphere, coasts and borders, a graticule, and what marks places.
import {
  BackSide, BufferGeometry, CanvasTexture, ClampToEdgeWrapping, DataTexture, Float32BufferAttribute, LinearFilter,
  LineBasicMaterial, LineSegments, Mesh, NearestFilter, RepeatWrapping, Scene, ShaderMaterial, SphereGeometry, Color,
} from "three";
import { unitVector } from "./grid.js";

const RADIANS = Math.PI / 180;
const STEPS = 32767; // satclip.explorer.outlines
const ABOVE = 1.0008; // lines stand so far out that the sphere does not hide them

const VERTEX = `
varying vec3 place; varying vec3 toEye; varying vec3 outward;
void main() {
  place = position;
  vec4 seen = modelViewMatrix * vec4(position, 1.0);
  toEye = -seen.xyz; outward = normalMatrix * normal;
  gl_Position = projectionMatrix * seen;
}`;

const FRAGMENT = `
uniform sampler2D cells, land, near; uniform vec4 box; uniform vec3 sea, blank; uniform float everywhere, rim;
varying vec3 place; varying vec3 toEye; varying vec3 outward;
const float PI = 3.141592653589793;
void main() {
  vec3 n = normalize(place);
  float lon = atan(-n.z, n.x), lat = asin(clamp(n.y, -1.0, 1.0));
  vec2 uv = vec2(mod(lon - box.x, 2.0 * PI) / box.z, (box.y - lat) / box.w);
  float inside = step(uv.x, 1.0) * step(0.0, uv.y) * step(uv.y, 1.0);
  vec4 cell = texture2D(cells, uv) * inside;
  float dry = mix(texture2D(land, vec2(lon / (2.0 * PI) + 0.5, 0.5 - lat / PI)).r, texture2D(near, uv).r, inside);
  vec3 ground = cell.a > 0.02 ? mix(blank, cell.rgb / cell.a, smoothstep(0.02, 0.3, cell.a)) : blank;
  vec3 colour = mix(sea, ground, max(dry, everywhere * cell.a));
  float facing = clamp(dot(normalize(toEye), normalize(outward)), 0.0, 1.0);
  gl_FragColor = vec4(colour * mix(rim, 1.0, smoothstep(0.0, 0.42, facing)), 1.0);
}`;

const HALO = `
uniform vec3 glow; varying vec3 toEye; varying vec3 outward;
void main() {
  float edge = clamp(-dot(normalize(toEye), normalize(outward)), 0.0, 1.0);
  gl_FragColor = vec4(glow, 0.55 * pow(edge / 0.32, 2.5));
}`;

/** Rings in degrees as flat arrays of lon, lat. */
export function rings(points, counts) {
  const found = [];
  let at = 0;
  for (const count of counts) {
    found.push(Array.from({ length: 2 * count }, (_, k) => (points[at + k] * 180) / STEPS));
    at += 2 * count;
  }
  return found;
}

/** Land as white on black over a box of longitudes and latitudes, on a canvas. */
export function landTexture(coast, { west, north, width, height }, pixels) {
  const canvas = document.createElement("canvas");
  canvas.width = pixels;
  canvas.height = Math.max(2, Math.round((pixels * height) / width));
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#fff";
  for (const turn of [-360, 0, 360]) {
    pen.beginPath();
    for (const ring of coast) {
      for (let k = 0; k < ring.length; k += 2) {
        const x = ((ring[k] + turn - west) / width) * canvas.width;
        pen[k ? "lineTo" : "moveTo"](x, ((north - ring[k + 1]) / height) * canvas.height);
      }
      pen.closePath();
    }
    pen.fill("evenodd");
  }
  const texture = new CanvasTexture(canvas);
  Object.assign(texture, { flipY: false, generateMipmaps: false, minFilter: LinearFilter });
  texture.wrapS = width >= 360 ? RepeatWrapping : ClampToEdgeWrapping;
  return texture;
}

/** Lines over the sphere, long edges bent every two degrees. */
export function lineGeometry(lines) {
  const at = [];
  for (const line of lines) {
    for (let k = 2; k < line.length; k += 2) {
      const [x0, y0, x1, y1] = line.slice(k - 2, k + 2);
      if (Math.abs(x0) > 179.9 && Math.abs(x1) > 179.9) continue; // where a map would end, a globe does not
      const parts = Math.max(1, Math.ceil(Math.hypot(x1 - x0, y1 - y0) / 2));
      for (let p = 0; p < parts; p++) {
        for (const share of [p / parts, (p + 1) / parts]) at.push(...unitVector(x0 + (x1 - x0) * share, y0 + (y1 - y0) * share));
      }
    }
  }
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new Float32BufferAttribute(at.map((value) => value * ABOVE), 3));
  return geometry;
}

export function graticule() {
  const range = (low, high, step) => Array.from({ length: Math.round((high - low) / step) + 1 }, (_, k) => low + k * step);
  const meridians = range(-150, 180, 30).map((lon) => range(-80, 80, 2).flatMap((lat) => [lon - 1e-3, lat]));
  return lineGeometry([...meridians, ...range(-60, 60, 30).map((lat) => range(-180, 180, 2).flatMap((lon) => [lon, lat]))]);
}

export class Sphere {
  /** `shared` holds what both globes draw: geometries and the textures of the land. */
  constructor(grid, everywhere, shared) {
    this.grid = grid;
    this.scene = new Scene();
    this.pixels = new Uint8Array(4 * grid.rows * grid.columns);
    this.cells = new DataTexture(this.pixels, grid.columns, grid.rows);
    this.cells.wrapS = grid.round ? RepeatWrapping : ClampToEdgeWrapping;
    this.cells.minFilter = LinearFilter;
    const box = [grid.west, grid.north, grid.width, grid.height].map((degrees) => degrees * RADIANS);
    this.uniforms = {
      cells: { value: this.cells }, land: { value: shared.land }, near: { value: shared.near },
      box: { value: box }, sea: { value: new Color() }, blank: { value: new Color() },
      everywhere: { value: everywhere ? 1 : 0 }, rim: { value: 0.8 },
    };
    const painted = new ShaderMaterial({ uniforms: this.uniforms, vertexShader: VERTEX, fragmentShader: FRAGMENT });
    this.scene.add(new Mesh(shared.ball, painted));
    this.glow = { glow: { value: new Color() } };
    const halo = new ShaderMaterial({
      uniforms: this.glow, vertexShader: VERTEX, fragmentShader: HALO, side: BackSide, transparent: true, depthWrite: false,
    });
    const around = new Mesh(shared.ball, halo);
    around.scale.setScalar(1.05);
    this.scene.add(around);
    this.inks = {};
    for (const [name, opacity] of [["graticule", 0.22], ["border", 0.28], ["coast", 0.75]]) {
      this.inks[name] = new LineBasicMaterial({ transparent: true, opacity, depthWrite: false });
      this.scene.add(new LineSegments(shared[name], this.inks[name]));
    }
  }

  /** `theme`: colours as CSS words. Raw values: the shader writes what a style sheet would. */
  dress(theme) {
    const raw = (target, css) => target.set(css).convertLinearToSRGB();
    raw(this.uniforms.sea.value, theme.sea);
    raw(this.uniforms.blank.value, theme.blank);
    raw(this.glow.glow.value, theme.glow);
    this.uniforms.rim.value = theme.dark ? 0.55 : 0.84;
    for (const [name, ink] of Object.entries(this.inks)) ink.color.set(theme[name] ?? theme.ink);
  }

  /** Colours of the cells, null for none; sharp where the cells are classes. */
  paint(colour, sharp) {
    const { pixels, grid } = this;
    for (let i = 0; i < grid.size; i++) {
      const rgb = colour(i);
      const at = 4 * grid.numbers[i];
      if (rgb) {
        pixels[at] = rgb[0];
        pixels[at + 1] = rgb[1];
        pixels[at + 2] = rgb[2];
      } else pixels.fill(0, at, at + 3);
      pixels[at + 3] = rgb ? 255 : 0;
    }
    this.cells.magFilter = sharp ? NearestFilter : LinearFilter;
    this.cells.needsUpdate = true;
  }
}

export { SphereGeometry };
