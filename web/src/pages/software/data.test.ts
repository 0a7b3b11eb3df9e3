import { expect, test } from "vitest";
import { idOf, readId } from "./data";

test("a software is named by kind and name, also where the name has a slash", () => {
  for (const software of [
    { kind: "dpkg", name: "bash" },
    { kind: "npm", name: "@scope/thing" },
  ]) {
    expect(readId(idOf(software))).toEqual(software);
  }
});
