import { describe, expect, it } from "vitest";
import { moved, neighbour, readLayout, STANDARD, wider } from "./layout";

describe("the arrangement of tiles", () => {
  it("makes something sound of anything that was kept", () => {
    expect(readLayout(undefined)).toEqual(STANDARD);
    expect(readLayout({ order: 7, hidden: "x", widths: { map: 5 }, refresh: -1 })).toEqual(STANDARD);
    const kept = readLayout({ order: ["map", "map", "gone"], hidden: ["feed"], widths: { map: 12 }, refresh: 0 });
    expect(kept.order[0]).toBe("map");
    expect(new Set(kept.order)).toEqual(new Set(STANDARD.order));
    expect(kept.hidden).toEqual(["feed"]);
    expect(kept.widths).toEqual({ map: 12 });
    expect(kept.refresh).toBe(0);
  });

  it("moves a tile to the place of another, in both directions", () => {
    expect(moved(["a", "b", "c"], "a", "c")).toEqual(["b", "c", "a"]);
    expect(moved(["a", "b", "c"], "c", "a")).toEqual(["c", "a", "b"]);
    expect(moved(["a", "b"], "x", "a")).toEqual(["a", "b"]);
  });

  it("knows what stands beside a tile, and its next width", () => {
    expect(neighbour(["a", "b"], "a", 1)).toBe("b");
    expect(neighbour(["a", "b"], "a", -1)).toBeUndefined();
    expect([wider(4), wider(12)]).toEqual([6, 4]);
  });
});
