import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { adopt, forget, keep, kept } from "./kept";

/** A server that holds one account's preferences as the real one does. */
class Account {
  version = 0;
  value: Record<string, unknown> = {};
  puts = 0;

  async answer(request: Request): Promise<Response> {
    if (request.method === "GET") return Response.json({ version: this.version, value: this.value });
    this.puts += 1;
    const body = (await request.json()) as { version: number; value: Record<string, unknown> };
    if (body.version !== this.version) {
      return Response.json({ type: "about:blank#version-conflict", detail: "changed" }, { status: 409 });
    }
    this.version += 1;
    this.value = body.value;
    return Response.json({ version: this.version, value: this.value });
  }
}

describe("what a person keeps", () => {
  let account: Account;
  beforeEach(() => {
    vi.useFakeTimers();
    account = new Account();
    vi.stubGlobal("fetch", (request: Request) => account.answer(request));
    forget();
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  it("is sent once for several changes, and only when somebody is signed in", async () => {
    keep("preferences", { theme: "light" });
    await vi.advanceTimersByTimeAsync(2_000);
    expect(account.puts).toBe(0);
    adopt("alice", { version: 0, value: {} });
    keep("columns.alerts", ["a"]);
    keep("columns.alerts", ["a", "b"]);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(account.puts).toBe(1);
    expect(account.value).toEqual({ preferences: { theme: "light" }, "columns.alerts": ["a", "b"] });
  });

  it("follows the account, and keeps both sides of changes made at once", async () => {
    adopt("alice", { version: 0, value: {} });
    account.version = 3;
    account.value = { preferences: { theme: "dark" } };
    keep("columns.alerts", ["a"]);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(account.value).toEqual({ preferences: { theme: "dark" }, "columns.alerts": ["a"] });
    expect(kept("preferences")).toEqual({ theme: "dark" });
    adopt("alice", { version: 9, value: { preferences: { theme: "light" } } });
    expect(kept("preferences")).toEqual({ theme: "light" });
  });

  it("does not hand one person's choices to the next", async () => {
    adopt("alice", { version: 1, value: { "columns.alerts": ["a"], preferences: { theme: "light" } } });
    adopt("bob", { version: 1, value: { preferences: { theme: "dark" } } });
    expect(kept("columns.alerts")).toBeUndefined();
    expect(kept("preferences")).toEqual({ theme: "dark" });
    await vi.advanceTimersByTimeAsync(2_000);
    expect(account.puts).toBe(0);
  });
});
