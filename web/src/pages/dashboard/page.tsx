import { useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { ArrowDown, ArrowUp, LayoutGrid, RefreshCw } from "lucide-react";
import { useState } from "react";
import { useText } from "@/app/preferences";
import { RANGES, rangeText } from "@/app/range";
import { useSession } from "@/app/session";
import { catalogue } from "@/i18n/text";
import { Button, IconButton } from "@/ui/button";
import { Select, Switch } from "@/ui/form";
import { Dialog } from "@/ui/overlay";
import { PageHeader } from "@/ui/panel";
import { type Layout, loadLayout, moved, STANDARD, storeLayout, TILES } from "./layout";
import { text } from "./strings";

const more = catalogue({ refresh: ["Refresh", "Aktualisieren"] });

function Arrange({
  open,
  onClose,
  layout,
  onChange,
}: {
  open: boolean;
  onClose: () => void;
  layout: Layout;
  onChange: (layout: Layout) => void;
}) {
  const t = useText(text);
  return (
    <Dialog
      open={open}
      onClose={onClose}
      title={t("arrange")}
      description={t("arrangeHint")}
      footer={<Button onClick={() => onChange(STANDARD)}>{t("reset")}</Button>}
    >
      <ol className="m-0 flex list-none flex-col p-0">
        {layout.order.map((id) => {
          const tile = TILES.find((known) => known.id === id);
          if (!tile) return null;
          const shown = !layout.hidden.includes(id);
          return (
            <li key={id} className="flex items-center gap-3 border-b border-line py-1.5 text-sm last:border-0">
              <Switch
                label={t("show", { name: t(tile.id) })}
                checked={shown}
                onChange={(on) =>
                  onChange({
                    ...layout,
                    hidden: on ? layout.hidden.filter((other) => other !== id) : [...layout.hidden, id],
                  })
                }
              />
              <span className="flex-1">{t(tile.id)}</span>
              <IconButton
                label={`${t("up")}: ${t(tile.id)}`}
                icon={ArrowUp}
                onClick={() => onChange({ ...layout, order: moved(layout.order, id, -1) })}
              />
              <IconButton
                label={`${t("down")}: ${t(tile.id)}`}
                icon={ArrowDown}
                onClick={() => onChange({ ...layout, order: moved(layout.order, id, 1) })}
              />
            </li>
          );
        })}
      </ol>
    </Dialog>
  );
}

export default function DashboardPage() {
  const t = useText(text);
  const m = useText(more);
  const r = useText(rangeText);
  const client = useQueryClient();
  const { range = "24h" } = useSearch({ from: "/inside/" });
  const navigate = useNavigate({ from: "/" });
  const { permissions } = useSession();
  const [layout, setLayout] = useState(loadLayout);
  const [arranging, setArranging] = useState(false);
  const change = (next: Layout) => {
    storeLayout(next);
    setLayout(next);
  };
  const tiles = layout.order
    .flatMap((id) => TILES.filter((tile) => tile.id === id))
    .filter((tile) => !layout.hidden.includes(tile.id) && (!tile.permission || permissions.includes(tile.permission)));
  return (
    <div className="pb-6">
      <PageHeader title={t("title")} detail={t("lead")}>
        <Select
          label={r("range")}
          value={range}
          onChange={(next) => void navigate({ search: next === "24h" ? {} : { range: next }, replace: true })}
          options={RANGES.map((value) => ({ value, label: r(value) }))}
        />
        <IconButton
          label={m("refresh")}
          icon={RefreshCw}
          look="plain"
          onClick={() => {
            void client.invalidateQueries({ queryKey: ["dashboard"] });
            void client.invalidateQueries({ queryKey: ["alerts"] });
          }}
        />
        <IconButton label={t("arrange")} icon={LayoutGrid} look="plain" onClick={() => setArranging(true)} />
      </PageHeader>
      <div className="grid grid-cols-1 gap-4 px-4 md:px-6 xl:grid-cols-12">
        {tiles.map((tile) => (
          <div key={tile.id} className={`flex min-w-0 flex-col [&>*]:flex-1 ${tile.span}`}>
            <tile.view range={range} />
          </div>
        ))}
      </div>
      <Arrange open={arranging} onClose={() => setArranging(false)} layout={layout} onChange={change} />
    </div>
  );
}
