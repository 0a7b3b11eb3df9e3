import { describe, expect, it } from "vitest";
import { correction, encode } from "./encode";

const drawn = (text: string) => encode(text).map((row) => row.map((dark) => (dark ? "#" : ".")).join(""));

describe("QR codes", () => {
  it("correct as the example of the standard's tutorials", () => {
    const data = [32, 91, 11, 120, 209, 114, 220, 77, 67, 64, 236, 17, 236, 17, 236, 17];
    expect(correction(data, 10)).toEqual([196, 35, 39, 119, 235, 215, 231, 226, 93, 23]);
  });

  it("draw the squares that a camera reads as the text", () => {
    expect(drawn("guardian")).toEqual([
      "#######..####.#######",
      "#.....#..##...#.....#",
      "#.###.#.####..#.###.#",
      "#.###.#.#.#.#.#.###.#",
      "#.###.#.#.###.#.###.#",
      "#.....#.#.#.#.#.....#",
      "#######.#.#.#.#######",
      "........##.##........",
      "#.#####..##.#.#####..",
      "..#.#.....#.#########",
      "..##..##...#..#..###.",
      "##...#...........####",
      "....########...#...#.",
      "........#.#######.#.#",
      "#######...#.#.#..###.",
      "#.....#.#.#####..##..",
      "#.###.#.##..#..###..#",
      "#.###.#.##..#..##.#..",
      "#.###.#.#.##.#.......",
      "#.....#........#.##..",
      "#######.####.#.....#.",
    ]);
  });

  it("grow with the text and refuse what does not fit", () => {
    expect(encode("a".repeat(14))).toHaveLength(21);
    expect(encode("a".repeat(15))).toHaveLength(25);
    expect(encode("a".repeat(412))).toHaveLength(77);
    expect(() => encode("a".repeat(413))).toThrow("too long");
  });
});
