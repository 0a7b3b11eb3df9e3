import { describe, expect, it } from "vitest";
import { payload } from "./import";

describe("files to import", () => {
  it("are an archive as it is, or the texts of the rule files among them", async () => {
    const zip = new File(["PK"], "rules.zip");
    expect(await payload([new File(["a: 1"], "a.yml"), zip])).toEqual({ body: zip, type: "application/zip" });
    const texts = await payload([new File(["a: 1"], "a.yml"), new File(["#"], "README.md")]);
    expect(JSON.parse(String(texts?.body))).toEqual({ files: [{ name: "a.yml", source: "a: 1" }] });
    expect(await payload([new File(["#"], "README.md")])).toBeNull();
  });
});
