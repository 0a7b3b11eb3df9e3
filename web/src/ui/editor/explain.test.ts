import { describe, expect, it } from "vitest";
import { columnMeanings, wordAt } from "./explain";

describe("the meaning of a word", () => {
  it("is looked for under the pointer", () => {
    const line = "    dst_port|gte: 1024";
    expect(wordAt(line, 6)?.word).toBe("dst_port");
    expect(wordAt(line, 12)?.word).toBe("dst_port");
    expect(wordAt(line, 14)?.word).toBe("gte");
    expect(wordAt("group-by:", 7)?.word).toBe("group-by");
    expect(wordAt(line, 2)).toBeNull();
    expect(wordAt(line, 20)).toBeNull();
  });

  it("names table, type and unit of a column", () => {
    const column = { name: "bytes", type: "u64", unit: "octets", doc: "Octets.", sigma: [] };
    const tables = [{ name: "flows", columns: [column] }] as unknown as Parameters<typeof columnMeanings>[0];
    expect(columnMeanings(tables).get("bytes")).toEqual({ detail: "flows · u64, octets", info: "Octets." });
  });
});
