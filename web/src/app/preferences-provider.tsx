import { type ReactNode, useEffect, useLayoutEffect, useMemo } from "react";
import { useKept } from "./kept";
import { applyPreferences, PREFERENCES, type Preferences, PreferencesContext, readPreferences } from "./preferences";

/** Holds the preferences, applies them to the document and follows the system's theme. */
export function PreferencesProvider({ children }: { children: ReactNode }) {
  const [preferences, choose] = useKept(PREFERENCES, readPreferences);
  useLayoutEffect(() => applyPreferences(preferences), [preferences]);
  useEffect(() => {
    const system = matchMedia("(prefers-color-scheme: dark)");
    const follow = () => applyPreferences(preferences);
    system.addEventListener("change", follow);
    return () => system.removeEventListener("change", follow);
  }, [preferences]);
  const value = useMemo(
    () => ({
      preferences,
      setPreferences: (change: Partial<Preferences>) => choose({ ...preferences, ...change }),
    }),
    [preferences, choose],
  );
  return <PreferencesContext value={value}>{children}</PreferencesContext>;
}
