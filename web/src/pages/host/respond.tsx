import { Ban, FileLock2, OctagonX } from "lucide-react";
import { useState } from "react";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import type { Preset } from "@/pages/commands/actions";
import { Give } from "@/pages/commands/give";
import { Button } from "@/ui/button";
import { type HostEvent, numberOf, textOf } from "./data";
import { text } from "./strings";

const HERE = /^(127\.|::1?$|0\.0\.0\.0$|masked-)/;

/** What can be done about an event on its host, with its arguments as the event tells them. */
export function presetsOf(
  event: HostEvent,
): { about: "kill" | "quarantine" | "block"; value: string; preset: Preset }[] {
  const found: ReturnType<typeof presetsOf> = [];
  const [pid, ticks] = [numberOf(event, "pid"), numberOf(event, "start_ticks")];
  const alive = event.class === "processes" && event.activity !== "exit";
  if (alive && pid !== null && pid > 1 && ticks !== null) {
    const boot = textOf(event, "boot");
    const values = { pid: String(pid), start_ticks: String(ticks), tree: true, gently: true };
    found.push({
      about: "kill",
      value: String(pid),
      preset: { kind: "kill", values, ...(boot ? { fixed: { boot } } : {}) },
    });
  }
  if (event.class === "files" && event.activity !== "delete" && textOf(event, "type") !== "folder") {
    const values = { path: textOf(event, "path"), hash: textOf(event, "sha256") };
    found.push({ about: "quarantine", value: values.path, preset: { kind: "quarantine", values } });
  }
  const other = event.class === "logins" || event.initiated === false ? "src_ip" : "dst_ip";
  const ip = textOf(event, other);
  if (ip && !HERE.test(ip)) {
    found.push({ about: "block", value: ip, preset: { kind: "block", values: { address: ip, seconds: "86400" } } });
  }
  return found;
}

const ICONS = { kill: OctagonX, quarantine: FileLock2, block: Ban };

export function Respond({ event }: { event: HostEvent }) {
  const t = useText(text);
  const may = useCan("hosts:command");
  const [preset, setPreset] = useState<Preset | null>(null);
  const host = textOf(event, "host_id");
  const offered = may && host ? presetsOf(event) : [];
  if (offered.length === 0) return null;
  return (
    <section>
      <h3 className="m-0 mb-2 text-sm font-semibold">{t("actions")}</h3>
      <div className="flex flex-wrap gap-2">
        {offered.map((one) => (
          <Button key={one.about} look="danger" icon={ICONS[one.about]} onClick={() => setPreset(one.preset)}>
            {one.about === "kill"
              ? t("killIt")
              : one.about === "quarantine"
                ? t("quarantineIt")
                : t("blockIt", { ip: one.value })}
          </Button>
        ))}
      </div>
      <Give
        open={preset !== null}
        onClose={() => setPreset(null)}
        count={1}
        hosts={() => Promise.resolve({ ids: [host] })}
        preset={preset ?? undefined}
      />
    </section>
  );
}
