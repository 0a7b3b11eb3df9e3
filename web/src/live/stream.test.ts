import { describe, expect, it, vi } from "vitest";
import { backOff, type LiveMessage, type LiveState, type Socket, Stream } from "./stream";

function harness() {
  const sockets: (Socket & { since: number | null })[] = [];
  const messages: LiveMessage[] = [];
  const states: LiveState[] = [];
  const stream = new Stream({
    open: (since) => {
      const socket = { since, onopen: null, onmessage: null, onclose: null, close: () => {} };
      sockets.push(socket);
      return socket;
    },
    delay: () => 10,
    onMessage: (message) => messages.push(message),
    onState: (state) => states.push(state),
  });
  const tell = (message: object) => sockets.at(-1)?.onmessage?.({ data: JSON.stringify(message) });
  return { stream, sockets, messages, states, tell };
}

describe("the live stream", () => {
  it("resumes from the last change and tells nothing twice", () => {
    vi.useFakeTimers();
    const { sockets, messages, states, tell } = harness();
    expect(sockets[0]?.since).toBeNull();
    tell({ type: "hello", seq: 4 });
    tell({ type: "change", seq: 5, subject: "rule", id: "a", action: "updated" });
    sockets[0]?.onclose?.();
    vi.advanceTimersByTime(20);
    expect(sockets).toHaveLength(2);
    expect(sockets[1]?.since).toBe(5);
    tell({ type: "hello", seq: 5 });
    tell({ type: "change", seq: 5, subject: "rule", id: "a", action: "updated" });
    tell({ type: "change", seq: 6, subject: "rule", id: "b", action: "updated" });
    const changes = messages.filter((message) => message.type === "change").map((message) => message.seq);
    expect(changes).toEqual([5, 6]);
    expect(states).toEqual(["connecting", "live", "lost", "lost", "live"]);
    vi.useRealTimers();
  });

  it("does not come back after it was stopped", () => {
    vi.useFakeTimers();
    const { stream, sockets } = harness();
    stream.stop();
    sockets[0]?.onclose?.();
    vi.advanceTimersByTime(60_000);
    expect(sockets).toHaveLength(1);
    vi.useRealTimers();
  });

  it("waits longer from attempt to attempt, up to half a minute", () => {
    expect([0, 1, 2, 3].map((attempt) => backOff(attempt, 0))).toEqual([500, 1000, 2000, 4000]);
    expect(backOff(50, 0)).toBe(30_000);
    expect(backOff(0, 1)).toBeCloseTo(333.3, 0);
  });
});
