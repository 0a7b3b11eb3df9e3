import { useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { BellRing, Building2, Keyboard, LogOut, UserRound } from "lucide-react";
import { api, chooseTenant, must, type Schema } from "@/api/client";
import { useFormat } from "@/i18n/format";
import { LANGUAGE_NAMES, LANGUAGES, type Language } from "@/i18n/text";
import { Menu, MenuItem, MenuLabel, MenuLine, MenuPick } from "@/ui/menu";
import { failed } from "@/ui/toast";
import { usePreferences, useText } from "./preferences";
import { useSession } from "./session";
import { text } from "./strings";

function initials(name: string): string {
  const words = name.split(/[\s._-]+/).filter(Boolean);
  return words
    .slice(0, 2)
    .map((word) => word[0]?.toUpperCase() ?? "")
    .join("");
}

/** Who is signed in, how the console looks, and the way out. */
export function AccountMenu({ onShortcuts }: { onShortcuts: () => void }) {
  const t = useText(text);
  const format = useFormat();
  const navigate = useNavigate();
  const client = useQueryClient();
  const session = useSession();
  const { preferences, setPreferences } = usePreferences();
  const signOut = async () => {
    try {
      // Nothing comes back unless the identity provider has a session to end.
      const ended: Schema<"SignedOut"> | undefined = await must(api.DELETE("/api/v1/session"));
      client.clear();
      // The provider ends it, and leads back.
      if (ended?.continue) return location.assign(ended.continue);
      await navigate({ to: "/sign-in" });
    } catch (error) {
      failed(error);
    }
  };
  const chooseLanguage = (language: Language) => {
    setPreferences({ language });
    // Who never chose how to be told things is told them in the same language. That it fails harms nothing.
    void must(api.GET("/api/v1/notifications/preferences"))
      .then((told) => {
        const { mail_to: _, mail_ready: __, ...body } = told;
        if (told.version > 0 || told.language === language) return null;
        return must(api.PUT("/api/v1/notifications/preferences", { body: { ...body, language } }));
      })
      .then((saved) => saved && client.invalidateQueries({ queryKey: ["notification-preferences"] }))
      .catch(() => null);
  };
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return (
    <Menu
      trigger={
        <button
          type="button"
          aria-label={t("account")}
          className="flex size-8 shrink-0 items-center justify-center rounded-full bg-accent-soft text-xs font-semibold text-accent"
        >
          {initials(session.name)}
        </button>
      }
    >
      <div className="px-2.5 py-1.5 text-sm">
        <div className="font-semibold text-text">{session.name}</div>
        <div className="text-xs text-text-3">{format.zone}</div>
      </div>
      <MenuLine />
      <MenuLabel>{t("theme")}</MenuLabel>
      <MenuPick
        value={preferences.theme}
        onChange={(theme) => setPreferences({ theme })}
        options={[
          { value: "system", label: t("system") },
          { value: "dark", label: t("dark") },
          { value: "light", label: t("light") },
        ]}
      />
      <MenuLabel>{t("density")}</MenuLabel>
      <MenuPick
        value={preferences.density}
        onChange={(density) => setPreferences({ density })}
        options={[
          { value: "comfortable", label: t("comfortable") },
          { value: "compact", label: t("compact") },
        ]}
      />
      <MenuLabel>{t("language")}</MenuLabel>
      <MenuPick
        value={preferences.language}
        onChange={chooseLanguage}
        options={LANGUAGES.map((value) => ({ value, label: LANGUAGE_NAMES[value] }))}
      />
      <MenuLabel>{t("times")}</MenuLabel>
      <MenuPick
        value={preferences.zone}
        onChange={(chosen) => setPreferences({ zone: chosen })}
        options={[
          { value: "local", label: t("local", { zone }) },
          { value: "utc", label: t("utc") },
        ]}
      />
      <MenuLine />
      <MenuItem icon={UserRound} onSelect={() => void navigate({ to: "/profile" })}>
        {t("profile")}
      </MenuItem>
      <MenuItem icon={BellRing} onSelect={() => void navigate({ to: "/notifications" })}>
        {t("notifications")}
      </MenuItem>
      <MenuItem icon={Keyboard} onSelect={onShortcuts}>
        {t("shortcuts")}
      </MenuItem>
      <MenuItem icon={LogOut} onSelect={() => void signOut()}>
        {t("signOut")}
      </MenuItem>
    </Menu>
  );
}

/** Which tenant the console shows; only where there is a choice. */
export function TenantMenu() {
  const t = useText(text);
  const session = useSession();
  const current = (session.tenants ?? []).find((tenant) => tenant.id === session.tenant);
  if ((session.tenants?.length ?? 0) < 2) return null;
  const choose = (id: string) => {
    chooseTenant(id);
    // Nothing of the other tenant may stay on the screen or in memory.
    location.assign("/");
  };
  return (
    <Menu
      trigger={
        <button
          type="button"
          aria-label={`${t("tenant")}: ${current?.name ?? ""}`}
          className="flex h-(--control) max-w-44 items-center gap-2 rounded-m border border-line-strong/70 bg-raised px-2.5 text-sm hover:border-line-strong"
        >
          <Building2 aria-hidden size={15} className="shrink-0 text-text-3" />
          <span className="truncate max-sm:hidden">{current?.name}</span>
        </button>
      }
    >
      <MenuLabel>{t("tenant")}</MenuLabel>
      <MenuPick
        value={session.tenant}
        onChange={choose}
        options={session.tenants.map((tenant) => ({ value: tenant.id, label: tenant.name }))}
      />
    </Menu>
  );
}
