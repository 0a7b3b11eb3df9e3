import { useQuery } from "@tanstack/react-query";
import { api, must } from "@/api/client";
import { useText } from "@/app/preferences";
import { bounds } from "@/app/range";
import { Bars } from "@/charts/bars";
import { catalogue } from "@/i18n/text";
import { SEVERITIES } from "@/ui/badge";
import { text as ui } from "@/ui/strings";
import { alertQuery } from "./data";
import type { AlertSearch } from "./search";

const text = catalogue({ volume: ["Alerts over time, by severity", "Alarme im Zeitverlauf, nach Schwere"] });

export const LEVELS = [...SEVERITIES].reverse();
export const FILLS = LEVELS.map((level) => `var(--${level === "informational" ? "info" : level}-fill)`);

/** When what matches happened; dragging chooses a stretch. */
export function Volume({ state, onBrush }: { state: AlertSearch; onBrush: (from: number, to: number) => void }) {
  const t = useText(text);
  const u = useText(ui);
  const query = useQuery({
    queryKey: ["alerts", "histogram", { ...state, sort: undefined }],
    queryFn: () => {
      const range = state.from && state.to ? { from: state.from, to: state.to } : bounds("7d");
      return must(
        api.GET("/api/v1/alerts/histogram", { params: { query: { ...alertQuery(state), ...range, buckets: 84 } } }),
      );
    },
  });
  if (!query.data) return <div className="h-[100px] max-sm:hidden" />;
  const { from, to, step_seconds, buckets } = query.data;
  return (
    <Bars
      label={t("volume")}
      className="mx-4 mb-3 max-sm:hidden md:mx-6"
      from={Date.parse(from)}
      to={Date.parse(to)}
      stepMs={step_seconds * 1000}
      height={64}
      fills={FILLS}
      names={LEVELS.map((level) => u(level))}
      bars={buckets
        .filter((bucket) => bucket.total > 0)
        .map((bucket) => ({ start: Date.parse(bucket.start), parts: LEVELS.map((level) => bucket[level]) }))}
      onBrush={onBrush}
    />
  );
}
