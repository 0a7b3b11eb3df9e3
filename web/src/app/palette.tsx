import { Dialog } from "@base-ui/react/dialog";
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { CornerDownLeft, Keyboard, Languages, type LucideIcon, Moon, Rows3, Search } from "lucide-react";
import { useEffect, useId, useMemo, useState } from "react";
import { classes } from "@/ui/classes";
import { FOUND_ICONS, type Found, type FoundKind, foundQuery, goTo } from "./found";
import { useFoundDetail } from "./found-detail";
import { NAVIGATION } from "./navigation";
import { resolveTheme, usePreferences, useText } from "./preferences";
import { useCan, useSession } from "./session";
import { text } from "./strings";

interface Command {
  id: string;
  group: "pages" | "actions" | "results";
  label: string;
  detail?: string;
  icon: LucideIcon;
  run: () => void;
}

/** Whether all letters of the query appear in order; "rls" finds "rules". */
export function matches(label: string, query: string): boolean {
  const words = label.toLowerCase();
  let at = 0;
  for (const letter of query.toLowerCase().replaceAll(" ", "")) {
    at = words.indexOf(letter, at) + 1;
    if (at === 0) return false;
  }
  return true;
}

const FOUND_MAX = 12;
const NONE: readonly Found[] = [];
const PAUSE_MS = 180;

/** A value a moment after it last changed. */
function useSettled(value: string): string {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}

function useCommands(query: string, onShortcuts: () => void): Command[] {
  const t = useText(text);
  const navigate = useNavigate();
  const session = useSession();
  const { preferences, setPreferences } = usePreferences();
  const searches = useCan("alerts:read");
  const asked = useSettled(query);
  const { data } = useQuery({ ...foundQuery(asked, FOUND_MAX), enabled: searches && asked.trim() !== "" });
  const items = asked.trim() === "" ? NONE : (data?.items ?? NONE);
  const detail = useFoundDetail();
  return useMemo(() => {
    const pages = NAVIGATION.filter((item) => !item.permission || session.permissions.includes(item.permission));
    const all: Command[] = [
      ...pages.map<Command>((item) => ({
        id: item.to,
        group: "pages",
        label: t(item.label),
        icon: item.icon,
        run: () => void navigate({ to: item.to }),
      })),
      {
        id: "theme",
        group: "actions",
        label: t("toggleTheme"),
        icon: Moon,
        run: () => setPreferences({ theme: resolveTheme(preferences.theme) === "dark" ? "light" : "dark" }),
      },
      {
        id: "density",
        group: "actions",
        label: t("toggleDensity"),
        icon: Rows3,
        run: () => setPreferences({ density: preferences.density === "compact" ? "comfortable" : "compact" }),
      },
      {
        id: "language",
        group: "actions",
        label: preferences.language === "en" ? "Deutsch" : "English",
        icon: Languages,
        run: () => setPreferences({ language: preferences.language === "en" ? "de" : "en" }),
      },
      { id: "shortcuts", group: "actions", label: t("shortcuts"), icon: Keyboard, run: onShortcuts },
    ];
    const found = all.filter((command) => matches(command.label, query));
    const q = query.trim();
    if (!q || !searches) return found;
    const things = items.map<Command>((item) => ({
      id: `${item.kind}/${item.id}`,
      group: "results",
      label: item.title,
      detail: detail(item),
      icon: FOUND_ICONS[item.kind as FoundKind] ?? Search,
      run: () => goTo(item, navigate),
    }));
    const everything: Command = {
      id: "search",
      group: "results",
      label: t("searchAll", { query: q }),
      icon: Search,
      run: () => void navigate({ to: "/search", search: { q } }),
    };
    return [...found, ...things, everything];
  }, [query, t, navigate, session, preferences, setPreferences, onShortcuts, items, searches, detail]);
}

/** Everything one can go to or do, by name. */
export function Palette({
  open,
  onClose,
  onShortcuts,
}: {
  open: boolean;
  onClose: () => void;
  onShortcuts: () => void;
}) {
  return (
    <Dialog.Root open={open} onOpenChange={(next) => !next && onClose()}>
      <Dialog.Portal>
        <Dialog.Backdrop className="fixed inset-0 z-50 bg-scrim" />
        <Dialog.Popup className="pop fixed left-1/2 top-[12vh] z-50 flex max-h-[70vh] w-[calc(100vw-24px)] max-w-xl -translate-x-1/2 flex-col overflow-hidden rounded-box border border-line-strong bg-raised shadow-float outline-none">
          <PaletteBody onClose={onClose} onShortcuts={onShortcuts} />
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

function PaletteBody({ onClose, onShortcuts }: { onClose: () => void; onShortcuts: () => void }) {
  const t = useText(text);
  const list = useId();
  const [query, setQuery] = useState("");
  const [index, setIndex] = useState(0);
  const commands = useCommands(query, onShortcuts);
  const active = Math.min(index, commands.length - 1);
  const run = (command: Command | undefined) => {
    if (!command) return;
    onClose();
    command.run();
  };
  const onKeyDown = (event: React.KeyboardEvent) => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step !== 0) {
      event.preventDefault();
      setIndex((active + step + commands.length) % Math.max(1, commands.length));
    } else if (event.key === "Enter") {
      event.preventDefault();
      run(commands[active]);
    }
  };
  return (
    <>
      <Dialog.Title className="sr-only">{t("openPalette")}</Dialog.Title>
      <div className="flex items-center gap-3 border-b border-line px-4">
        <Search aria-hidden size={16} className="text-text-3" />
        <input
          role="combobox"
          aria-expanded
          aria-controls={list}
          aria-activedescendant={commands[active] ? `${list}-${active}` : undefined}
          aria-label={t("openPalette")}
          placeholder={t("search")}
          value={query}
          onChange={(event) => {
            setQuery(event.target.value);
            setIndex(0);
          }}
          onKeyDown={onKeyDown}
          className="h-12 w-full bg-transparent text-base text-text outline-none placeholder:text-text-3"
        />
      </div>
      <div id={list} role="listbox" aria-label={t("openPalette")} className="min-h-0 overflow-y-auto p-1.5">
        {commands.length === 0 && (
          <div className="p-6 text-center text-sm text-text-3">{t("noCommand", { query })}</div>
        )}
        {commands.map((command, at) => (
          <div key={command.id}>
            {command.group !== commands[at - 1]?.group && (
              <div role="presentation" className="px-2.5 pb-1 pt-2 text-2xs font-medium text-text-3">
                {t(command.group)}
              </div>
            )}
            <div
              id={`${list}-${at}`}
              role="option"
              tabIndex={-1}
              aria-selected={at === active}
              onClick={() => run(command)}
              onMouseMove={() => setIndex(at)}
              className={classes(
                "flex cursor-pointer items-center gap-3 rounded-m px-2.5 py-2 text-sm",
                at === active ? "bg-hover text-text" : "text-text-2",
              )}
            >
              <command.icon aria-hidden size={16} className="shrink-0 text-text-3" />
              <span className="min-w-0 flex-1 truncate">{command.label}</span>
              {command.detail && <span className="truncate text-xs text-text-3">{command.detail}</span>}
              {at === active && <CornerDownLeft aria-hidden size={14} className="text-text-3" />}
            </div>
          </div>
        ))}
      </div>
    </>
  );
}
