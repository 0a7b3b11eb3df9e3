// Generates src/api/schema.ts from the API's document.
import { readFileSync, writeFileSync } from "node:fs";
import openapiTS, { astToString } from "openapi-typescript";

const document = JSON.parse(readFileSync(new URL("../openapi.json", import.meta.url), "utf8"));
writeFileSync(
  new URL("../src/api/schema.ts", import.meta.url),
  astToString(await openapiTS(document, { defaultNonNullable: false })),
);
