import { useEffect, useRef, useState } from "react";
import { currentTenant } from "@/api/client";
import { type LiveMessage, type LiveState, type Socket, Stream } from "@/live/stream";
import type { Entry } from "./data";

/**
 * Hears every new entry of the trail while the page is shown. The connection is one of its own, because only this page
 * wants the entries, and resumes after the last entry that was told.
 */
export function useAuditLive(onEntry: (entry: Entry) => void): LiveState {
  const [state, setState] = useState<LiveState>("connecting");
  const latest = useRef(onEntry);
  useEffect(() => {
    latest.current = onEntry;
  });
  useEffect(() => {
    let told: number | null = null;
    const open = () => {
      const url = new URL("/api/v1/stream?topics=audit", location.href);
      url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
      if (told !== null) url.searchParams.set("audit_since", String(told));
      const tenant = currentTenant();
      if (tenant) url.searchParams.set("tenant", tenant);
      return new WebSocket(url) as unknown as Socket;
    };
    const onMessage = (message: LiveMessage) => {
      const { audit_seq, entry } = message as { audit_seq?: number; entry?: Entry };
      if (message.type === "hello" && typeof audit_seq === "number") told ??= audit_seq;
      if (message.type !== "audit" || !entry) return;
      told = Math.max(told ?? 0, entry.seq);
      latest.current(entry);
    };
    const stream = new Stream({ open, onMessage, onState: setState });
    return () => stream.stop();
  }, []);
  return state;
}
