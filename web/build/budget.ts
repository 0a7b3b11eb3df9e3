import { gzipSync } from "node:zlib";
import type { Plugin } from "vite";

/** Fails the build when the JavaScript of the first load, compressed by gzip, is larger than the budget. */
export function budget({ kilobytes }: { kilobytes: number }): Plugin {
  return {
    name: "budget",
    apply: "build",
    generateBundle(_, bundle) {
      const first = new Set<string>();
      const visit = (name: string) => {
        const chunk = bundle[name];
        if (first.has(name) || chunk?.type !== "chunk") return;
        first.add(name);
        chunk.imports.forEach(visit);
      };
      for (const chunk of Object.values(bundle)) {
        if (chunk.type === "chunk" && chunk.isEntry) visit(chunk.fileName);
      }
      let bytes = 0;
      for (const name of first) {
        const chunk = bundle[name];
        if (chunk?.type === "chunk") bytes += gzipSync(chunk.code).length;
      }
      const size = `${(bytes / 1000).toFixed(0)} kB of JavaScript on the first load, of ${kilobytes} allowed`;
      if (bytes > kilobytes * 1000) this.error(size);
      this.info(size);
    },
  };
}
