import type { Schema } from "@/api/client";

export type AlertView = Schema<"AlertView">;
export type Kpis = Schema<"Kpis">;

/** What the server tells over the live stream. */
export type LiveMessage =
  | { type: "hello"; seq: number }
  | { type: "alert"; seq: number; news: boolean; alert: AlertView }
  | { type: "change"; seq: number; subject: string; id: string; action: string }
  | { type: "kpis"; seq?: never; kpis: Kpis }
  | { type: "resync"; seq: number }
  | { type: string; seq?: number; [more: string]: unknown };

export type LiveState = "connecting" | "live" | "lost";

/** The part of WebSocket that is used; tests put another in its place. */
export interface Socket {
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: (() => void) | null;
  close(): void;
}

interface Options {
  open: (since: number | null) => Socket;
  /** Milliseconds before the attempt with this number, from 0. */
  delay?: (attempt: number) => number;
  onMessage: (message: LiveMessage) => void;
  onState: (state: LiveState) => void;
}

const DELAY_MIN_MS = 500;
const DELAY_MAX_MS = 30_000;

/** Doubles up to half a minute, with up to a third of chance so that many consoles do not come back at once. */
export function backOff(attempt: number, chance = Math.random()): number {
  const full = Math.min(DELAY_MAX_MS, DELAY_MIN_MS * 2 ** Math.min(attempt, 10));
  return full * (1 - chance / 3);
}

/**
 * The live stream of one tenant. It keeps the number of the last change that it handed on and asks for what came after
 * it when it connects again, so that nothing is missed or told twice.
 */
export class Stream {
  #options: Options;
  #socket: Socket | null = null;
  #seq: number | null = null;
  #attempt = 0;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #stopped = false;

  constructor(options: Options) {
    this.#options = options;
    this.#connect();
  }

  /** Number of the last change that was handed on. */
  get seq(): number | null {
    return this.#seq;
  }

  /** Tries at once, for instance because the browser says that the network is back. */
  hurry(): void {
    if (this.#timer === null) return;
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#connect();
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#socket?.close();
  }

  #connect(): void {
    if (this.#stopped) return;
    this.#options.onState(this.#attempt === 0 ? "connecting" : "lost");
    const socket = this.#options.open(this.#seq);
    this.#socket = socket;
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onclose = () => this.#closed(socket);
  }

  #receive(data: unknown): void {
    if (typeof data !== "string") return;
    const message = JSON.parse(data) as LiveMessage;
    if (message.type === "hello") {
      // Only now has the server taken us; an open socket alone may still be refused.
      this.#attempt = 0;
      this.#options.onState("live");
    }
    if (typeof message.seq === "number") {
      const told = this.#seq !== null && message.seq <= this.#seq;
      if (told && message.type !== "hello" && message.type !== "resync") return;
      this.#seq = Math.max(this.#seq ?? 0, message.seq);
    }
    this.#options.onMessage(message);
  }

  #closed(socket: Socket): void {
    if (this.#stopped || this.#socket !== socket) return;
    this.#socket = null;
    this.#options.onState("lost");
    const delay = (this.#options.delay ?? backOff)(this.#attempt);
    this.#attempt += 1;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#connect();
    }, delay);
  }
}
