import { expect, it } from "vitest";
import { techniqueName } from "./techniques";

it.each([
  ["t1046", "Network Service Discovery"],
  ["attack.T1071", "Application Layer Protocol"],
  ["T1021.004", "Remote Services: SSH"],
  ["t1568.002", "Dynamic Resolution: Domain Generation Algorithms"],
  ["t9999", undefined],
  ["discovery", undefined],
])("%s is called %s", (id, name) => {
  expect(techniqueName(id)).toBe(name);
});
