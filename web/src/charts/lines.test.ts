import { expect, it } from "vitest";
import { paths } from "./lines";

it("breaks a line where steps are missing", () => {
  const points = [0, 1, 5, 6].map((start) => ({ start, value: start }));
  const { line, area } = paths(
    points,
    (time) => time,
    (value) => 10 - value,
    2,
    10,
  );
  expect(line).toBe("M0.0 10.0L1.0 9.0M5.0 5.0L6.0 4.0");
  expect(area).toBe("M0.0 10L0.0 10.0L1.0 9.0L1.0 10ZM5.0 10L5.0 5.0L6.0 4.0L6.0 10Z");
  expect(paths([], Number, Number, 1, 10)).toEqual({ line: "", area: "" });
});
