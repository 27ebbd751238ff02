// One canvas, one camera, a globe in each panel: drag, wheel, pinch, click.
import { PerspectiveCamera, Ray, Sphere as Ball, SphereGeometry, Vector2, Vector3, WebGLRenderer } from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import { placeOf, unitVector } from "./grid.js";
import { Sphere, graticule, landTexture, lineGeometry, rings } from "./sphere.js";

const RADIANS = Math.PI / 180;
const MARGIN = 1.09;
const CLICK_PIXELS = 5;
const FLIGHT_MS = 450;
const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** What all globes share. */
function sharedParts(grid, arrays) {
  const world = { west: -180, north: 90, width: 360, height: 180 };
  const coast = rings(arrays.coast, arrays["coast/points"]);
  const land = landTexture(coast, world, 4096);
  return {
    land,
    near: grid.round ? land : landTexture(coast, grid, 2048),
    ball: new SphereGeometry(1, 192, 96),
    coast: lineGeometry(coast),
    border: lineGeometry(rings(arrays.border, arrays["border/points"])),
    graticule: graticule(),
  };
}

export class Globe {
  /** Throws where the browser has no WebGL. `panels` lie over the canvas, each with an element `.labels`. */
  constructor(stage, canvas, panels, grid, arrays) {
    Object.assign(this, { stage, canvas, panels, grid });
    this.renderer = new WebGLRenderer({ canvas, antialias: true, alpha: true });
    this.camera = new PerspectiveCamera(28, 1, 0.02, 50);
    const everywhere = grid.size === grid.rows * grid.columns;
    const shared = sharedParts(grid, arrays);
    this.spheres = panels.map(() => new Sphere(grid, everywhere, shared));
    this.marks = panels.map(() => []);
    this.controls = new OrbitControls(this.camera, stage);
    Object.assign(this.controls, { enablePan: false, enableDamping: !still(), dampingFactor: 0.12, zoomSpeed: 1.1 });
    this.controls.addEventListener("change", () => this.draw());
    this.onPick = () => {};
    this.onHover = null;
    this.listen();
    this.fitted = false;
    new ResizeObserver(() => this.resize()).observe(stage);
    this.resize();
  }

  listen() {
    let down = null;
    this.stage.addEventListener("pointerdown", (event) => {
      down = [event.clientX, event.clientY];
      this.flight = null;
    });
    this.stage.addEventListener("pointerup", (event) => {
      const still = down && Math.hypot(event.clientX - down[0], event.clientY - down[1]) < CLICK_PIXELS;
      down = null;
      const place = still && event.button === 0 ? this.placeAt(event.clientX, event.clientY) : null;
      if (place) this.onPick(...place);
    });
    this.stage.addEventListener("pointermove", (event) => {
      if (!this.onHover || event.buttons) return;
      const place = this.placeAt(event.clientX, event.clientY);
      if (place) this.onHover(...place);
    });
    this.canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault();
      this.onLost?.();
    });
    this.canvas.addEventListener("webglcontextrestored", () => this.draw());
  }

  /** The place under a point of the window, [lon, lat], or null beside the globe. */
  placeAt(x, y) {
    for (const panel of this.panels) {
      const { left, top, width, height } = panel.getBoundingClientRect();
      if (x < left || x > left + width || y < top || y > top + height) continue;
      const on = new Vector2(((x - left) / width) * 2 - 1, 1 - ((y - top) / height) * 2);
      const far = new Vector3(on.x, on.y, 0.5).unproject(this.camera).sub(this.camera.position).normalize();
      const hit = new Ray(this.camera.position.clone(), far).intersectSphere(new Ball(new Vector3(), 1), new Vector3());
      return hit && placeOf(hit.x, hit.y, hit.z);
    }
    return null;
  }

  resize() {
    const { width, height } = this.stage.getBoundingClientRect();
    if (!width || !height) return;
    this.renderer.setPixelRatio(Math.min(2, devicePixelRatio));
    this.renderer.setSize(width, height, false);
    const panel = this.panels[0].getBoundingClientRect();
    this.camera.aspect = panel.width / panel.height;
    this.camera.updateProjectionMatrix();
    const before = this.whole;
    const half = Math.atan(Math.tan((this.camera.fov / 2) * RADIANS) * Math.min(1, this.camera.aspect));
    this.whole = MARGIN / Math.sin(half);
    Object.assign(this.controls, { minDistance: 1.06, maxDistance: 1.4 * this.whole });
    if (!this.fitted) this.home(half);
    else this.camera.position.setLength(this.camera.position.length() * (this.whole / before));
    this.fitted = true;
    this.controls.update();
    this.draw();
  }

  /** Show all of the grid. */
  home(half = Math.asin(MARGIN / this.whole)) {
    const { grid } = this;
    this.half = half;
    const middle = grid.round ? [12, 22] : [grid.west + grid.width / 2, grid.north - grid.height / 2];
    const wide = (grid.width / 2) * Math.cos(middle[1] * RADIANS);
    const radius = Math.min(80, Math.hypot(wide, grid.height / 2)) * RADIANS;
    const distance = grid.round ? this.whole : Math.min(this.whole, Math.cos(radius) + (1.1 * Math.sin(radius)) / Math.tan(half));
    this.camera.position.set(...unitVector(...middle)).multiplyScalar(Math.max(1.08, distance));
    this.controls.update();
  }

  zoom(factor) {
    const length = 1 + (this.camera.position.length() - 1) * factor;
    this.camera.position.setLength(Math.min(this.controls.maxDistance, Math.max(this.controls.minDistance, length)));
    this.controls.update();
    this.draw();
  }

  /** Turn a place to the front where it is not well in view. */
  turnTo(lon, lat, always = false) {
    const target = new Vector3(...unitVector(lon, lat));
    const from = this.camera.position.clone();
    const horizon = 1 / from.length();
    const facing = target.dot(from.clone().normalize());
    if (!always && facing > horizon + 0.35 * (1 - horizon)) return;
    const begun = performance.now();
    const near = from.clone().normalize();
    this.flight = (now) => {
      const share = still() ? 1 : Math.min(1, (now - begun) / FLIGHT_MS);
      const eased = share * share * (3 - 2 * share);
      const way = near.clone().lerp(target, eased);
      if (way.length() < 1e-3) way.copy(target);
      this.camera.position.copy(way.normalize().multiplyScalar(from.length()));
      return share < 1;
    };
    this.draw();
  }

  /** Labels of a panel: [{xyz, text, kind}]. */
  mark(number, marks) {
    const box = this.panels[number].querySelector(".labels");
    box.replaceChildren();
    this.marks[number] = marks.map(({ xyz, text, kind }) => {
      const element = document.createElement("span");
      element.className = `mark ${kind}`;
      element.textContent = text;
      box.append(element);
      return { at: new Vector3(...xyz), element };
    });
    this.draw();
  }

  draw() {
    this.pending ??= requestAnimationFrame((now) => {
      this.pending = null;
      if (this.flight && !this.flight(now)) this.flight = null;
      const distance = this.camera.position.length();
      this.controls.rotateSpeed = Math.min(1, Math.max(0.03, (distance - 1) / (this.whole - 1)));
      const moving = this.controls.update();
      this.render();
      if (this.flight || moving) this.draw();
    });
  }

  render() {
    const { renderer, camera } = this;
    const stage = this.stage.getBoundingClientRect();
    renderer.setScissorTest(true);
    camera.updateMatrixWorld();
    for (const [number, panel] of this.panels.entries()) {
      const { left, bottom, width, height } = panel.getBoundingClientRect();
      const box = [left - stage.left, stage.bottom - bottom, width, height];
      renderer.setViewport(...box);
      renderer.setScissor(...box);
      renderer.render(this.spheres[number].scene, camera);
      for (const { at, element } of this.marks[number]) {
        const on = at.clone().project(camera);
        element.hidden = at.dot(camera.position) < 1;
        element.style.transform = `translate(${((on.x + 1) / 2) * width}px, ${((1 - on.y) / 2) * height}px) translate(-50%, -50%)`;
      }
    }
  }
}
