// Generates src/api/schema.ts from the API's document. Operations that are decided but not in the program yet may
// stand in openapi.next.json; the file goes when they arrive.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import openapiTS, { astToString } from "openapi-typescript";

const read = (name) => JSON.parse(readFileSync(new URL(`../${name}`, import.meta.url), "utf8"));
const document = read("openapi.json");
if (existsSync(new URL("../openapi.next.json", import.meta.url))) {
  const next = read("openapi.next.json");
  Object.assign(document.paths, next.paths);
  Object.assign(document.components.schemas, next.components.schemas);
}
writeFileSync(
  new URL("../src/api/schema.ts", import.meta.url),
  astToString(await openapiTS(document, { defaultNonNullable: false })),
);
