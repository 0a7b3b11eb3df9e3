import { Kbd } from "@/ui/badge";
import { Dialog } from "@/ui/overlay";
import { NAVIGATION } from "./navigation";
import { useText } from "./preferences";
import { text } from "./strings";

const APPLE = /Mac|iPhone|iPad/.test(navigator.platform);
export const MOD = APPLE ? "⌘" : "Ctrl";

function Group({ title, rows, then }: { title: string; rows: [keys: string[], label: string][]; then?: string }) {
  return (
    <section>
      <h3 className="m-0 mb-2 text-xs font-semibold text-text-3">{title}</h3>
      <dl className="m-0 flex flex-col gap-2">
        {rows.map(([keys, label]) => (
          <div key={label} className="flex items-center justify-between gap-4 text-sm">
            <dt className="text-text-2">{label}</dt>
            <dd className="m-0 flex items-center gap-1">
              {keys.map((key, index) => (
                <span key={key} className="flex items-center gap-1">
                  {index > 0 && then && <span className="text-2xs text-text-3">{then}</span>}
                  <Kbd>{key}</Kbd>
                </span>
              ))}
            </dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

/** What the keyboard does; shown by `?`. */
export function Shortcuts({ open, onClose }: { open: boolean; onClose: () => void }) {
  const t = useText(text);
  const go = NAVIGATION.flatMap((item): [string[], string][] =>
    item.key ? [[["G", item.key.toUpperCase()], t(item.label)]] : [],
  );
  return (
    <Dialog open={open} onClose={onClose} title={t("shortcuts")} wide>
      <div className="grid gap-x-10 gap-y-6 sm:grid-cols-2">
        <div className="flex flex-col gap-6">
          <Group
            title={t("shortcutGlobal")}
            rows={[
              [[MOD, "K"], t("openPalette")],
              [["?"], t("showShortcuts")],
              [["T"], t("toggleTheme")],
            ]}
          />
          <Group
            title={t("shortcutLists")}
            rows={[
              [["J"], t("nextRow")],
              [["K"], t("previousRow")],
              [["↵"], t("openRow")],
              [["X"], t("selectRow")],
              [["/"], t("focusSearch")],
            ]}
          />
        </div>
        <Group title={t("shortcutGo")} rows={go} then={t("afterwards")} />
      </div>
    </Dialog>
  );
}
