import { useQueryClient } from "@tanstack/react-query";
import {
  createContext,
  type ReactNode,
  useContext,
  useEffect,
  useMemo,
  useRef,
  useState,
  useSyncExternalStore,
} from "react";
import { currentTenant } from "@/api/client";
import { freshen } from "@/api/list";
import { type Kpis, type LiveMessage, type LiveState, Stream } from "./stream";

/** Lists are loaded again at most this often, however many changes come in. */
const REFRESH_MS = 1_500;

/** Which cached lists a message makes stale: the first parts of their query keys. */
const STALE: Record<string, readonly string[]> = {
  alert: ["alerts", "dashboard", "incidents", "entity"],
  incident: ["incidents", "dashboard", "alerts"],
  incident_item: ["incidents", "incident-templates", "incident-settings"],
  rule: ["rules"],
  exception: ["rules"],
  exporter: ["exporters", "dashboard"],
  host: ["hosts"],
  image: ["images"],
  enrolment_token: ["enrolment-tokens"],
  host_group: ["host-groups", "hosts", "policies"],
  policy: ["policies"],
  policy_order: ["policies"],
  command: ["commands"],
  command_run: ["commands"],
  live_query: ["live-queries"],
  live_query_host: ["live-queries"],
  release: ["releases", "install-kit"],
  rollout: ["rollouts"],
  rollout_host: ["rollouts", "hosts"],
  replay: ["replays", "alerts", "dashboard"],
  user: ["users"],
  membership: ["users", "session"],
  session: ["sessions"],
  api_key: ["keys"],
  role: ["roles", "session"],
  tenant: ["tenants", "session"],
  invitation: ["invitations"],
  setting: ["settings"],
  suppression: ["suppressions"],
  view: ["views"],
  hunt: ["hunts"],
  audit: ["audit"],
  notification: ["notifications"],
  notifications_read: ["notifications"],
  notification_channel: ["channels"],
};

type Handler = (message: LiveMessage) => void;

interface Live {
  state: LiveState;
  subscribe: (handler: Handler) => () => void;
  /** The newest figures; they change every second, so they are a store of their own. */
  kpis: { get: () => Kpis | null; subscribe: (wake: () => void) => () => void };
}

const LiveContext = createContext<Live | null>(null);

function open(since: number | null) {
  const url = new URL("/api/v1/stream", location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  if (since !== null) url.searchParams.set("since", String(since));
  const tenant = currentTenant();
  if (tenant) url.searchParams.set("tenant", tenant);
  return new WebSocket(url) as unknown as import("./stream").Socket;
}

/** Keeps the live stream of the tenant open and the cached lists fresh. */
export function LiveProvider({ children }: { children: ReactNode }) {
  const client = useQueryClient();
  const [state, setState] = useState<LiveState>("connecting");
  const handlers = useRef(new Set<Handler>());
  const kpis = useRef<{ value: Kpis | null; waiting: Set<() => void> }>({ value: null, waiting: new Set() });

  useEffect(() => {
    const stale = new Set<string>();
    let timer: ReturnType<typeof setTimeout> | null = null;
    const refresh = () => {
      timer = null;
      const names = [...stale];
      stale.clear();
      freshen(client, names, false);
    };
    const onMessage = (message: LiveMessage) => {
      if (message.type === "kpis") {
        kpis.current.value = message.kpis as Kpis;
        for (const wake of kpis.current.waiting) wake();
        return;
      }
      if (message.type === "resync") void client.invalidateQueries();
      const subject = message.type === "change" ? String(message.subject) : message.type;
      for (const name of STALE[subject] ?? []) stale.add(name);
      if (stale.size > 0 && timer === null) timer = setTimeout(refresh, REFRESH_MS);
      for (const handler of handlers.current) handler(message);
    };
    const stream = new Stream({ open, onMessage, onState: setState });
    const hurry = () => stream.hurry();
    addEventListener("online", hurry);
    return () => {
      removeEventListener("online", hurry);
      if (timer !== null) clearTimeout(timer);
      stream.stop();
    };
  }, [client]);

  const value = useMemo<Live>(
    () => ({
      state,
      subscribe: (handler) => {
        handlers.current.add(handler);
        return () => handlers.current.delete(handler);
      },
      kpis: {
        get: () => kpis.current.value,
        subscribe: (wake) => {
          kpis.current.waiting.add(wake);
          return () => kpis.current.waiting.delete(wake);
        },
      },
    }),
    [state],
  );
  return <LiveContext value={value}>{children}</LiveContext>;
}

export function useLiveState(): LiveState {
  return useContext(LiveContext)?.state ?? "connecting";
}

/** Hears every message while the component is shown. */
export function useLive(handler: Handler): void {
  const live = useContext(LiveContext);
  const latest = useRef(handler);
  useEffect(() => {
    latest.current = handler;
  });
  useEffect(() => live?.subscribe((message) => latest.current(message)), [live]);
}

const NEVER = () => () => {};

export function useKpis(): Kpis | null {
  const live = useContext(LiveContext);
  return useSyncExternalStore(live?.kpis.subscribe ?? NEVER, live?.kpis.get ?? (() => null));
}
