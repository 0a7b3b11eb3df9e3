import { api, must, type Schema } from "@/api/client";

export type Token = Schema<"EnrollmentTokenView">;
export type MadeToken = Schema<"MadeEnrollmentToken">;

export const tokensQuery = {
  queryKey: ["enrolment-tokens"],
  queryFn: () => must(api.GET("/api/v1/enrollment-tokens")),
};

/** How often the arrival of a machine is looked for; what the live stream tells comes sooner. */
const LOOK_MS = 3_000;
const NEWEST = 50;

/** The machines that came in by a token, the first one first. */
export function arrivalsQuery(token: string) {
  return {
    queryKey: ["hosts", "arrivals", token],
    queryFn: async () => {
      const query = { sort: "-enrolled", limit: NEWEST };
      const { items } = await must(api.GET("/api/v1/hosts", { params: { query } }));
      return items.filter((host) => host.enrollment_token === token).reverse();
    },
    refetchInterval: LOOK_MS,
  };
}

export type Kit = Schema<"InstallKit">;

/** What it takes to install the agent on a machine that has nothing of it. */
export const kitQuery = {
  queryKey: ["install-kit"],
  queryFn: () => must(api.GET("/api/v1/agents/install-kit")),
};

/** The one command that fetches, checks and installs the agent. */
export function oneCommand(kit: Kit, server: string, secret: string): string {
  return kit.command.replaceAll("{server}", server).replaceAll("{token}", secret);
}

/** One command after the other, as they are pasted on the machine. */
export function commands(server: string, secret: string): string {
  return [`sudo guardian-agent enroll --server ${server} --token ${secret}`, "sudo guardian-agent run"].join("\n");
}

/** How long a token is good for, by the name of the choice. */
export const LIVES = { hour: 3_600_000, day: 86_400_000, week: 604_800_000, month: 2_592_000_000 } as const;
export type Life = keyof typeof LIVES;

export function expiryOf(life: Life, now = Date.now()): string {
  return new Date(now + LIVES[life]).toISOString();
}
