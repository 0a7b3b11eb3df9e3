/** What went wrong at an identity provider: it leads the browser back with a word for it in the address. */
import { useNavigate } from "@tanstack/react-router";
import { useEffect } from "react";
import { catalogue } from "@/i18n/text";
import { failed } from "@/ui/toast";
import { useText } from "./preferences";

const text = catalogue({
  "oidc-denied": ["The provider refused the sign-in.", "Der Anbieter hat die Anmeldung abgelehnt."],
  "oidc-expired": [
    "The sign-in took too long or began in another browser. Try again.",
    "Die Anmeldung dauerte zu lange oder begann in einem anderen Browser. Bitte erneut versuchen.",
  ],
  "oidc-failed": [
    "The provider cannot be reached, or its answer was wrong. The server's log says more.",
    "Der Anbieter ist nicht erreichbar, oder seine Antwort war falsch. Das Protokoll des Servers sagt mehr.",
  ],
  "oidc-no-account": ["There is no account for you here yet.", "Es gibt hier noch kein Konto für Sie."],
  "oidc-no-role": ["None of your groups has a role here.", "Keine Ihrer Gruppen hat hier eine Rolle."],
  "oidc-disabled": ["Your account is switched off.", "Ihr Konto ist gesperrt."],
  "oidc-taken": [
    "This account of the provider belongs to somebody else here.",
    "Dieses Konto des Anbieters gehört hier jemand anderem.",
  ],
});

/** The word is read before the router tidies the address up, and told once. */
let came = globalThis.location ? new URLSearchParams(location.search).get("error") : null;

/** What went wrong, in words; null if nothing did or it was told already. */
export function useReturned(): () => string | null {
  const t = useText(text);
  return () => {
    const word = came;
    came = null;
    return word !== null && Object.hasOwn(text, word) ? t(word as keyof typeof text) : null;
  };
}

/** Tells it to whoever is signed in: they linked an account, or proved themselves at the provider. */
export function useTellReturned(): void {
  const take = useReturned();
  const navigate = useNavigate();
  // biome-ignore lint/correctness/useExhaustiveDependencies: it can only be news when the console was just loaded.
  useEffect(() => {
    const said = take();
    if (said === null) return;
    failed(said);
    // Pages that look at their address less closely keep the word, and would tell it again when loaded anew.
    void navigate({ to: ".", search: (kept) => ({ ...kept, error: undefined }) as typeof kept, replace: true });
  }, []);
}
