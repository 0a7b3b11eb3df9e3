import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { AlarmClock, BellMinus, UserRound } from "lucide-react";
import { useState } from "react";
import { api, must, type Schema } from "@/api/client";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useCan, useSession } from "@/app/session";
import { catalogue } from "@/i18n/text";
import type { Alert } from "@/pages/alerts/data";
import { AlertStatus, SeverityMark } from "@/ui/badge";
import { Button } from "@/ui/button";
import { Field, Select, Switch, Textarea } from "@/ui/form";
import { Menu, MenuItem } from "@/ui/menu";
import { Dialog } from "@/ui/overlay";
import { Panel } from "@/ui/panel";
import { Ago } from "@/ui/time";

const text = catalogue({
  assign: ["Assign", "Zuweisen"],
  toMe: ["To me", "Mir"],
  nobody: ["To nobody", "Niemandem"],
  assigned: ["Assigned", "Zugewiesen"],
  snooze: ["Snooze", "Zurückstellen"],
  wake: ["Wake up", "Wecken"],
  snoozed: ["Snoozed", "Zurückgestellt"],
  hour: ["For an hour", "Für eine Stunde"],
  day: ["For a day", "Für einen Tag"],
  week: ["For a week", "Für eine Woche"],
  suppress: ["Suppress like this…", "Ähnliche unterdrücken …"],
  suppressTitle: ["Suppress alerts like this", "Ähnliche Alarme unterdrücken"],
  suppressHint: [
    "Such alerts are stored closed and counted, never lost. An end date keeps it honest.",
    "Solche Alarme werden geschlossen gespeichert und gezählt, nie verworfen.",
  ],
  scope: ["Which", "Welche"],
  rule_entity: ["This rule about this entity", "Diese Regel zu dieser Entität"],
  rule_group: ["This rule and this group", "Diese Regel und diese Gruppe"],
  rule: ["Everything of this rule", "Alles von dieser Regel"],
  entity: ["Everything about this entity", "Alles zu dieser Entität"],
  reason: ["Reason", "Begründung"],
  until: ["Until", "Bis"],
  week1: ["A week", "Eine Woche"],
  month: ["A month", "Ein Monat"],
  forever: ["No end", "Ohne Ende"],
  closeExisting: ["Close those that are open, too", "Auch die offenen schließen"],
  doSuppress: ["Suppress", "Unterdrücken"],
  suppressed: ["Suppressed from now on", "Ab jetzt unterdrückt"],
  similar: ["Similar alerts", "Ähnliche Alarme"],
});

const HOUR_MS = 3_600_000;
type Scope = "rule_entity" | "rule_group" | "rule" | "entity";

/** Assigning, putting aside, and keeping the like away. */
export function MoreTriage({ alert }: { alert: Alert }) {
  const t = useText(text);
  const client = useQueryClient();
  const session = useSession();
  const maySuppress = useCan("alerts:suppress");
  const { act } = useAction();
  const [suppressing, setSuppressing] = useState(false);
  const people = useQuery({ queryKey: ["people"], queryFn: () => must(api.GET("/api/v1/people")), staleTime: 300_000 });
  const params = { path: { id: alert.id } };
  const after = () => client.invalidateQueries({ queryKey: ["alerts"] });
  const assign = (assignee: string | null) =>
    void act(() => must(api.POST("/api/v1/alerts/{id}/assign", { params, body: { assignee } })), t("assigned")).then(
      after,
    );
  const snooze = (ms: number | null) => {
    const until = ms === null ? null : new Date(Date.now() + ms).toISOString();
    void act(
      () => must(api.POST("/api/v1/alerts/{id}/snooze", { params, body: { until, note: "" } })),
      t("snoozed"),
    ).then(after);
  };
  return (
    <>
      <Menu trigger={<Button icon={UserRound}>{t("assign")}</Button>}>
        <MenuItem onSelect={() => assign("me")}>{t("toMe")}</MenuItem>
        {(people.data?.items ?? [])
          .filter((person) => person.id !== session.user)
          .map((person) => (
            <MenuItem key={person.id} onSelect={() => assign(person.id)}>
              {person.display_name || person.name}
            </MenuItem>
          ))}
        {alert.assignee && <MenuItem onSelect={() => assign(null)}>{t("nobody")}</MenuItem>}
      </Menu>
      <Menu trigger={<Button icon={AlarmClock}>{t("snooze")}</Button>}>
        <MenuItem onSelect={() => snooze(HOUR_MS)}>{t("hour")}</MenuItem>
        <MenuItem onSelect={() => snooze(24 * HOUR_MS)}>{t("day")}</MenuItem>
        <MenuItem onSelect={() => snooze(168 * HOUR_MS)}>{t("week")}</MenuItem>
        {alert.snoozed_until && <MenuItem onSelect={() => snooze(null)}>{t("wake")}</MenuItem>}
      </Menu>
      {maySuppress && (
        <Button icon={BellMinus} onClick={() => setSuppressing(true)}>
          {t("suppress")}
        </Button>
      )}
      <Suppress alert={alert} open={suppressing} onClose={() => setSuppressing(false)} onDone={after} />
    </>
  );
}

function Suppress({
  alert,
  open,
  onClose,
  onDone,
}: {
  alert: Alert;
  open: boolean;
  onClose: () => void;
  onDone: () => void;
}) {
  const t = useText(text);
  const { busy, act } = useAction();
  const [scope, setScope] = useState<Scope>("rule_entity");
  const [reason, setReason] = useState("");
  const [days, setDays] = useState<"7" | "30" | "0">("30");
  const [close_existing, setClose] = useState(true);
  const suppress = async () => {
    const expires = days === "0" ? null : new Date(Date.now() + Number(days) * 24 * HOUR_MS).toISOString();
    const body: Schema<"SuppressLike"> = { scope, reason, verdict: "benign", expires, close_existing };
    if (
      !(await act(
        () => must(api.POST("/api/v1/alerts/{id}/suppress", { params: { path: { id: alert.id } }, body })),
        t("suppressed"),
      ))
    )
      return;
    onClose();
    onDone();
  };
  return (
    <Dialog
      open={open}
      onClose={onClose}
      title={t("suppressTitle")}
      description={t("suppressHint")}
      footer={
        <Button look="primary" busy={busy} disabled={!reason.trim()} onClick={() => void suppress()}>
          {t("doSuppress")}
        </Button>
      }
    >
      <div className="flex flex-col gap-4">
        <Field label={t("scope")}>
          {(ids) => (
            <Select
              {...ids}
              label={t("scope")}
              value={scope}
              onChange={setScope}
              className="w-full"
              options={(["rule_entity", "rule_group", "rule", "entity"] as const).map((value) => ({
                value,
                label: t(value),
              }))}
            />
          )}
        </Field>
        <Field label={t("until")}>
          {(ids) => (
            <Select
              {...ids}
              label={t("until")}
              value={days}
              onChange={setDays}
              className="w-full"
              options={[
                { value: "7" as const, label: t("week1") },
                { value: "30" as const, label: t("month") },
                { value: "0" as const, label: t("forever") },
              ]}
            />
          )}
        </Field>
        <Field label={t("reason")}>
          {(ids) => <Textarea {...ids} value={reason} onChange={(event) => setReason(event.target.value)} />}
        </Field>
        <span className="flex items-center gap-3 text-sm">
          <Switch label={t("closeExisting")} checked={close_existing} onChange={setClose} /> {t("closeExisting")}
        </span>
      </div>
    </Dialog>
  );
}

/** The same rule, or the same entity. */
export function Similar({ alert }: { alert: Alert }) {
  const t = useText(text);
  const query = useQuery({
    queryKey: ["alerts", "similar", alert.id],
    queryFn: () => must(api.GET("/api/v1/alerts/{id}/similar", { params: { path: { id: alert.id } } })),
  });
  const items = query.data?.items ?? [];
  if (items.length === 0) return null;
  return (
    <Panel title={t("similar")} flush>
      <ul className="m-0 list-none p-0 pb-2">
        {items.slice(0, 8).map((other) => (
          <li key={other.id}>
            <Link
              to="/alerts/$id"
              params={{ id: other.id }}
              className="flex items-center gap-3 px-4 py-1.5 text-sm text-text no-underline hover:bg-hover"
            >
              <SeverityMark severity={other.severity} bare />
              <span className="min-w-0 flex-1">
                <span className="block truncate">{other.title}</span>
                <span className="mono block truncate text-xs text-text-3">{other.entity}</span>
              </span>
              <span className="flex flex-col items-end gap-0.5 text-xs text-text-3">
                <Ago time={other.last_seen} />
                {other.status !== "new" && <AlertStatus status={other.status} />}
              </span>
            </Link>
          </li>
        ))}
      </ul>
    </Panel>
  );
}
