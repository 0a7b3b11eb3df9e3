import { type ReactNode, useEffect, useMemo, useState } from "react";
import { applyPreferences, loadPreferences, PreferencesContext, storePreferences } from "./preferences";

/** Holds the preferences, applies them to the document and follows the system's theme. */
export function PreferencesProvider({ children }: { children: ReactNode }) {
  const [preferences, set] = useState(loadPreferences);
  useEffect(() => {
    applyPreferences(preferences);
    storePreferences(preferences);
    const system = matchMedia("(prefers-color-scheme: dark)");
    const follow = () => applyPreferences(preferences);
    system.addEventListener("change", follow);
    return () => system.removeEventListener("change", follow);
  }, [preferences]);
  const value = useMemo(
    () => ({
      preferences,
      setPreferences: (change: Partial<typeof preferences>) => set((before) => ({ ...before, ...change })),
    }),
    [preferences],
  );
  return <PreferencesContext value={value}>{children}</PreferencesContext>;
}
