import { describe, expect, it } from "vitest";
import manual from "../../../../docs/exporters.md?raw";
import { devices } from "./devices";

describe("the first exporter", () => {
  const all = devices(manual, "guardian.example.org");

  it("offers the devices of the manual and nothing else", () => {
    const names = all.map((device) => device.name);
    expect(names).toContain("MikroTik RouterOS");
    expect(names).toContain("Linux with softflowd");
    expect(names).not.toContain("What to choose");
  });

  it("names this server in the commands", () => {
    const mikrotik = all.find((device) => device.name === "MikroTik RouterOS");
    expect(mikrotik?.text).toContain("dst-address=guardian.example.org ");
    expect(mikrotik?.text).not.toContain("192.0.2.10 ");
  });
});
