import { useQueryClient } from "@tanstack/react-query";
import { Link, Outlet, useNavigate, useRouterState } from "@tanstack/react-router";
import { Menu as MenuIcon, PanelLeftClose, PanelLeftOpen, Search, X } from "lucide-react";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { LiveProvider, useLive, useLiveState } from "@/live/live";
import { useStartOffered } from "@/pages/start/offer";
import { Kbd } from "@/ui/badge";
import { IconButton } from "@/ui/button";
import { classes } from "@/ui/classes";
import { Toasts } from "@/ui/toast";
import { AccountMenu, TenantMenu } from "./account-menu";
import { Bell } from "./bell";
import { type Bindings, useKeys } from "./keys";
import { NAVIGATION, type NavigationItem } from "./navigation";
import { Palette } from "./palette";
import { resolveTheme, usePreferences, useText } from "./preferences";
import { ProofDialog } from "./proof-dialog";
import { useTellReturned } from "./returned";
import { useSession } from "./session";
import { MOD, Shortcuts } from "./shortcuts";
import { text } from "./strings";

function Mark() {
  return (
    <svg viewBox="0 0 32 32" fill="none" aria-hidden className="size-7 shrink-0 text-accent">
      <path
        d="M16 3.500 27 7.600v8.300c0 6.300-4.500 10.600-11 12.600C9.500 26.500 5 22.200 5 15.900V7.600z"
        stroke="currentColor"
        strokeWidth="2.200"
        strokeLinejoin="round"
      />
      <path
        d="M10 16.500h3.500l2.200-5 2.600 8.500 1.900-3.500H22"
        stroke="currentColor"
        strokeWidth="2.200"
        strokeLinecap="round"
        strokeLinejoin="round"
      />
    </svg>
  );
}

function useItems(): readonly NavigationItem[] {
  const { permissions } = useSession();
  const start = useStartOffered();
  return useMemo(
    () =>
      NAVIGATION.filter(
        (item) => (!item.permission || permissions.includes(item.permission)) && (item.to !== "/start" || start),
      ),
    [permissions, start],
  );
}

function useActive(): (item: NavigationItem) => boolean {
  const path = useRouterState({ select: (state) => state.location.pathname });
  return (item) => (item.to === "/" ? path === "/" : path === item.to) || path.startsWith(`${item.to}/`);
}

function Navigation({ rail, onGo }: { rail?: boolean; onGo?: () => void }) {
  const t = useText(text);
  const items = useItems();
  const active = useActive();
  return (
    <nav aria-label={t("navigation")} className="flex flex-col gap-0.5 px-2">
      {items.map((item, index) => (
        <div key={item.to}>
          {item.group !== items[index - 1]?.group &&
            (rail ? (
              index > 0 && <hr className="mx-2 my-2 h-px border-0 bg-line" />
            ) : (
              <div className="px-2.5 pb-1 pt-4 text-2xs font-medium text-text-3">{t(item.group)}</div>
            ))}
          <Link
            to={item.to}
            {...(onGo ? { onClick: onGo } : {})}
            aria-current={active(item) ? "page" : undefined}
            title={rail ? t(item.label) : undefined}
            className={classes(
              "relative flex h-8 items-center gap-2.5 rounded-m px-2.5 text-sm font-medium no-underline transition-colors",
              active(item) ? "bg-hover text-text" : "text-text-2 hover:bg-hover hover:text-text",
              rail && "justify-center",
            )}
          >
            {active(item) && <span aria-hidden className="absolute -left-2 h-4 w-[3px] rounded-r-full bg-accent" />}
            <item.icon
              aria-hidden
              size={16}
              strokeWidth={active(item) ? 2.25 : 1.9}
              className={active(item) ? "text-accent" : ""}
            />
            <span className={rail ? "sr-only" : "truncate"}>{t(item.label)}</span>
          </Link>
        </div>
      ))}
    </nav>
  );
}

function LiveMark() {
  const t = useText(text);
  const state = useLiveState();
  const tone = state === "live" ? "text-good" : state === "lost" ? "text-critical" : "text-text-3";
  const label = t(state);
  return (
    <span
      role="status"
      aria-label={label}
      title={state === "live" ? t("liveHint") : label}
      className={classes("flex items-center gap-1.5 text-xs font-medium", tone)}
    >
      <span aria-hidden className={classes("size-2 rounded-full bg-current", state === "live" && "pulse-dot")} />
      <span className="hidden sm:inline">{label}</span>
    </span>
  );
}

function LostBanner() {
  const t = useText(text);
  const state = useLiveState();
  const [shown, setShown] = useState(false);
  useEffect(() => {
    if (state !== "lost") return setShown(false);
    // A blink of the network is nobody's concern.
    const timer = setTimeout(() => setShown(true), 1_500);
    return () => clearTimeout(timer);
  }, [state]);
  if (!shown) return null;
  return (
    <div role="alert" className="border-b border-critical/30 bg-critical-soft px-4 py-2 text-sm text-critical md:px-6">
      {t("lostBanner")}
    </div>
  );
}

function BottomBar({ onMore }: { onMore: () => void }) {
  const t = useText(text);
  const items = useItems()
    .filter((item) => item.to !== "/start")
    .slice(0, 4);
  const active = useActive();
  const look = "flex flex-1 flex-col items-center justify-center gap-0.5 text-2xs font-medium no-underline";
  return (
    <nav aria-label={t("navigation")} className="flex h-14 shrink-0 border-t border-line bg-surface md:hidden">
      {items.map((item) => (
        <Link
          key={item.to}
          to={item.to}
          aria-current={active(item) ? "page" : undefined}
          className={classes(look, active(item) ? "text-accent" : "text-text-3")}
        >
          <item.icon aria-hidden size={19} />
          {t(item.label)}
        </Link>
      ))}
      <button type="button" onClick={onMore} className={classes(look, "text-text-3")}>
        <MenuIcon aria-hidden size={19} />
        {t("more")}
      </button>
    </nav>
  );
}

function Drawer({ open, onClose }: { open: boolean; onClose: () => void }) {
  const t = useText(text);
  const box = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (open) box.current?.showModal();
    else box.current?.close();
  }, [open]);
  return (
    <dialog
      ref={box}
      onClose={onClose}
      onClick={(event) => event.target === box.current && onClose()}
      aria-label={t("navigation")}
      className="m-0 h-dvh max-h-none w-72 border-0 border-r border-line bg-surface p-0 text-text backdrop:bg-scrim"
    >
      <div className="flex items-center justify-between px-4 py-3">
        <span className="flex items-center gap-2.5 text-base font-semibold">
          <Mark /> Guardian
        </span>
        <IconButton label={t("closeMenu")} icon={X} onClick={onClose} />
      </div>
      <Navigation onGo={onClose} />
    </dialog>
  );
}

/** Whatever changes about oneself elsewhere, a role or a preference, is known here at once. */
function useOwnChanges(): void {
  const client = useQueryClient();
  const { user } = useSession();
  useLive((message) => {
    if (message.type === "change" && message.subject === "user" && message.id === user)
      void client.invalidateQueries({ queryKey: ["session"] });
  });
}

function Frame() {
  useTellReturned();
  const t = useText(text);
  const navigate = useNavigate();
  useOwnChanges();
  const { preferences, setPreferences } = usePreferences();
  const [palette, setPalette] = useState(false);
  const [shortcuts, setShortcuts] = useState(false);
  const [drawer, setDrawer] = useState(false);
  const [rail, setRail] = useState(() => localStorage.getItem("guardian.rail") === "1");
  useEffect(() => localStorage.setItem("guardian.rail", rail ? "1" : "0"), [rail]);
  const showShortcuts = useCallback(() => setShortcuts(true), []);
  const items = useItems();
  const bindings: Bindings = {
    "mod+k": () => setPalette(true),
    "?": showShortcuts,
    t: () => setPreferences({ theme: resolveTheme(preferences.theme) === "dark" ? "light" : "dark" }),
  };
  for (const item of items) {
    if (item.key) bindings[`g ${item.key}`] = () => void navigate({ to: item.to });
  }
  useKeys(bindings);
  return (
    <div className="flex h-dvh">
      <a
        href="#content"
        className="absolute left-2 top-2 z-50 -translate-y-16 rounded-m bg-accent px-3 py-2 text-accent-ink focus:translate-y-0"
      >
        {t("skip")}
      </a>
      <aside
        className={classes(
          "hidden shrink-0 flex-col border-r border-line bg-surface md:flex",
          rail ? "w-14" : "w-(--sidebar)",
        )}
      >
        <div className={classes("flex h-(--topbar) items-center gap-2.5", rail ? "justify-center" : "px-4")}>
          <Mark />
          {!rail && <span className="text-lg font-semibold tracking-[-0.01em]">Guardian</span>}
        </div>
        <div className="min-h-0 flex-1 overflow-y-auto">
          <Navigation rail={rail} />
        </div>
        <div className={classes("flex border-t border-line p-2", rail ? "justify-center" : "justify-end")}>
          <IconButton
            label={t(rail ? "expand" : "collapse")}
            icon={rail ? PanelLeftOpen : PanelLeftClose}
            onClick={() => setRail(!rail)}
          />
        </div>
      </aside>
      <div className="flex min-w-0 flex-1 flex-col">
        <header className="flex h-(--topbar) shrink-0 items-center gap-3 border-b border-line bg-surface px-3 md:px-6">
          <span className="md:hidden">
            <Mark />
          </span>
          <button
            type="button"
            onClick={() => setPalette(true)}
            className="flex h-(--control) min-w-0 flex-1 items-center gap-2 rounded-m border border-line bg-sunken px-2.5 text-sm text-text-3 hover:border-line-strong md:max-w-md"
          >
            <Search aria-hidden size={15} className="shrink-0" />
            <span className="min-w-0 flex-1 truncate text-left">{t("search")}</span>
            <span className="hidden items-center gap-1 sm:flex">
              <Kbd>{MOD}</Kbd>
              <Kbd>K</Kbd>
            </span>
          </button>
          <div className="hidden flex-1 md:block" />
          <LiveMark />
          <TenantMenu />
          <Bell />
          <AccountMenu onShortcuts={showShortcuts} />
        </header>
        <LostBanner />
        <main
          id="content"
          tabIndex={-1}
          className="relative min-h-0 flex-1 overflow-y-auto overflow-x-hidden outline-none"
        >
          <Outlet />
        </main>
        <BottomBar onMore={() => setDrawer(true)} />
      </div>
      <Drawer open={drawer} onClose={() => setDrawer(false)} />
      <Palette open={palette} onClose={() => setPalette(false)} onShortcuts={showShortcuts} />
      <Shortcuts open={shortcuts} onClose={() => setShortcuts(false)} />
      <ProofDialog />
      <Toasts />
    </div>
  );
}

/** The frame around every page behind the sign-in. */
export function Shell() {
  return (
    <LiveProvider>
      <Frame />
    </LiveProvider>
  );
}
