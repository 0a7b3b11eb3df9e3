import { useQuery } from "@tanstack/react-query";
import { Download } from "lucide-react";
import { useAction } from "@/app/action";
import { fetchFile } from "@/app/fetch-file";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { useFormat } from "@/i18n/format";
import { packsQuery, type Run } from "@/pages/commands/data";
import { text } from "@/pages/commands/strings";
import { Badge } from "@/ui/badge";
import { Button } from "@/ui/button";
import { Facts } from "@/ui/panel";

const TONES = { waiting: "accent", kept: "good", lost: "critical", removed: "neutral" } as const;

/** What the host collected: whether it is here, what is in it, and a way to take it. */
export function Pack({ run }: { run: Run }) {
  const t = useText(text);
  const format = useFormat();
  const may = useCan("hosts:command");
  const { busy, act } = useAction();
  const query = useQuery(packsQuery(run.command));
  const pack = query.data?.items.find((one) => one.host === run.host);
  if (!pack) return null;
  const state = pack.state as keyof typeof TONES;
  const take = (form: "opened" | "sealed") => {
    const url = `/api/v1/commands/${run.command}/hosts/${run.host}/evidence?form=${form}`;
    const ending = form === "opened" ? "tar.zst" : "pack";
    void act(() => fetchFile(url, `evidence-${run.host_name}-${run.id}.${ending}`));
  };
  return (
    <section>
      <h3 className="m-0 mb-2 flex items-center gap-2 text-sm font-semibold">
        {t("evidence")}
        <Badge tone={TONES[state]}>{t(`pack_${state}`)}</Badge>
      </h3>
      {pack.text && <p className="m-0 mb-2 break-words text-sm">{pack.text}</p>}
      <Facts
        items={[
          [t("packEntries"), format.number(pack.entries)],
          [t("packBytes"), format.bytes(pack.bytes)],
          [t("packLeftOut"), pack.left_out > 0 && format.number(pack.left_out)],
          [
            "BLAKE3",
            <span key="hash" className="mono break-all">
              {pack.hash}
            </span>,
          ],
        ]}
      />
      {may && state === "kept" && (
        <div className="mt-3 flex flex-wrap gap-2">
          <Button icon={Download} busy={busy} onClick={() => take("opened")}>
            {t("packTake")}
          </Button>
          <Button busy={busy} onClick={() => take("sealed")}>
            {t("packSealed")}
          </Button>
        </div>
      )}
    </section>
  );
}
