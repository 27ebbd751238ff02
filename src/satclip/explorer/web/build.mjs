// Bundles src/ with three.js into dist/explorer.js, with three's licence and the hash of what it was built from.
import { createHash } from "node:crypto";
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

await build({
  entryPoints: ["src/main.js"],
  outfile: "dist/explorer.js",
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  charset: "ascii",
  legalComments: "inline",
});
copyFileSync("node_modules/three/LICENSE", "dist/three.LICENSE.txt");

// tests/explorer/test_bundle.py computes the same: files by name, each as name, newline, bytes.
const sources = readdirSync("src").sort().map((name) => `src/${name}`);
const digest = createHash("sha256");
for (const path of [...sources, "package-lock.json"]) {
  digest.update(`${path}\n`);
  digest.update(readFileSync(path));
}
writeFileSync("dist/sources.sha256", `${digest.digest("hex")}\n`);
