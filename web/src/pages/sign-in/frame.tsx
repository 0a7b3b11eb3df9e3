import type { ReactNode } from "react";
import { resolveTheme, usePreferences, useText } from "@/app/preferences";
import { ProofDialog } from "@/app/proof-dialog";
import { text as shell } from "@/app/strings";
import { LANGUAGE_NAMES, LANGUAGES } from "@/i18n/text";
import { Segmented } from "@/ui/tabs";
import { Toasts } from "@/ui/toast";
import { text } from "./strings";
import { Trace } from "./trace";

/** The page that is shown before there is a session. */
export function Frame({ title, lead, children }: { title: string; lead: string; children: ReactNode }) {
  const t = useText(text);
  const s = useText(shell);
  const { preferences, setPreferences } = usePreferences();
  return (
    <div className="grid h-dvh overflow-y-auto bg-bg lg:grid-cols-[minmax(440px,1fr)_1.2fr]">
      <main className="flex min-h-full flex-col bg-surface px-6 py-8 sm:px-12">
        <div className="flex items-center gap-2.5 text-lg font-semibold">
          <svg viewBox="0 0 32 32" fill="none" aria-hidden className="size-8 text-accent">
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
          Guardian
        </div>
        <div className="mx-auto flex w-full max-w-sm flex-1 flex-col justify-center py-10">
          <h1 className="m-0 text-2xl font-semibold tracking-[-0.02em]">{title}</h1>
          <p className="mb-7 mt-2 text-sm text-text-2">{lead}</p>
          {children}
        </div>
        <footer className="flex flex-wrap items-center justify-between gap-3 text-xs text-text-3">
          <span>{t("privacy")}</span>
          <div className="flex gap-2">
            <Segmented
              label={s("language")}
              value={preferences.language}
              onChange={(language) => setPreferences({ language })}
              tabs={LANGUAGES.map((value) => ({ value, label: LANGUAGE_NAMES[value] }))}
            />
            <Segmented
              label={s("theme")}
              value={resolveTheme(preferences.theme)}
              onChange={(theme) => setPreferences({ theme })}
              tabs={[
                { value: "dark", label: s("dark") },
                { value: "light", label: s("light") },
              ]}
            />
          </div>
        </footer>
      </main>
      <div aria-hidden className="relative hidden overflow-hidden border-l border-line lg:block">
        <Trace />
      </div>
      <ProofDialog />
      <Toasts />
    </div>
  );
}
