import { Problem } from "@/api/client";
import type { Translate } from "@/i18n/text";
import { calledOff, madeBefore } from "./passkeys";
import type { text } from "./strings";

/** Why a code or a passkey was not taken, in the person's words. */
export function factorTrouble(error: unknown, t: Translate<typeof text>): string {
  if (error instanceof Problem) {
    if (error.kind === "bad-credentials") return t("wrong");
    if (error.retryAfter !== undefined) return t("locked", { seconds: error.retryAfter });
  }
  if (calledOff(error)) return t("calledOff");
  if (madeBefore(error)) return t("madeBefore");
  return error instanceof Error ? error.message : String(error);
}
