// Builds the page into ../static: viewer.js, viewer.css and page.html, with a hash of everything that they are made from.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig, type Plugin } from "vite";

const here = import.meta.dirname;
const LICENSED = ["three", "@sparkjsdev/spark", "fflate"];

/** Every source below a folder, as paths with forward slashes, in the order of their names. */
function files(folder: string): string[] {
  return readdirSync(join(here, folder), { withFileTypes: true })
    .flatMap((entry) => (entry.isDirectory() ? files(`${folder}/${entry.name}`) : [`${folder}/${entry.name}`]))
    .sort();
}

/** SHA-256 over "path, newline, bytes" of every source; tests/viewer/test_static.py computes the same. */
function hashOfSources(): string {
  const hash = createHash("sha256");
  for (const file of ["package-lock.json", "package.json", ...files("public"), ...files("src"), "tsconfig.json", "vite.config.ts"]) {
    hash.update(`${file}\n`);
    hash.update(readFileSync(join(here, file)));
  }
  return hash.digest("hex");
}

/** The licences of what is bundled, which ask to travel with every copy. */
function licences(): string {
  return LICENSED.map((name) => {
    const text = readFileSync(join(here, "node_modules", name, "LICENSE"), "utf8").trim();
    return `${name}\n${text.replaceAll("*/", "* /")}`;
  }).join("\n\n");
}

/** Puts hash and licences before the minified script, which keeps no comments. */
const head: Plugin = {
  name: "head",
  generateBundle: { order: "post", handler: (_, bundle) => {
    for (const part of Object.values(bundle)) {
      if (part.type === "chunk") part.code = `/*! sources sha256 ${hashOfSources()}\n\n${licences()}\n*/\n${part.code}`;
    }
  } },
};

export default defineConfig({
  plugins: [head],
  define: { "process.env.NODE_ENV": '"production"' },
  build: {
    outDir: "../static",
    emptyOutDir: true,
    target: "es2022",
    cssCodeSplit: false,
    chunkSizeWarningLimit: 4000,
    lib: { entry: "src/main.ts", formats: ["iife"], name: "recon3dViewer", fileName: () => "viewer.js", cssFileName: "viewer" },
    rollupOptions: { output: { inlineDynamicImports: true } },
  },
});
