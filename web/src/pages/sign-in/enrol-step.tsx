import { useState } from "react";
import { api, must } from "@/api/client";
import { useText } from "@/app/preferences";
import type { Session } from "@/app/session";
import { Enrol } from "@/factors/enrol";
import { RecoveryCodes } from "@/factors/recovery-codes";
import { text as factorText } from "@/factors/strings";
import { failed } from "@/ui/toast";
import { Frame } from "./frame";
import { text } from "./strings";

/** The tenant asks for a second factor and the account has none yet: it is added before anything else. */
export function EnrolStep({
  session,
  onDone,
  onLeave,
}: {
  session: Session;
  onDone: (session: Session) => void;
  onLeave: () => void;
}) {
  const t = useText(text);
  const f = useText(factorText);
  const [codes, setCodes] = useState<readonly string[] | null>(null);
  const enter = async () => {
    try {
      onDone(await must(api.GET("/api/v1/session")));
    } catch (error) {
      failed(error);
    }
  };
  if (codes) {
    return (
      <Frame title={f("codesTitle")} lead="">
        <RecoveryCodes codes={codes} account={session.name} onKept={() => void enter()} />
      </Frame>
    );
  }
  return (
    <Frame title={t("enrolTitle")} lead={t("enrolLead")}>
      <Enrol onDone={(made) => (made.length > 0 ? setCodes(made) : void enter())} />
      <button type="button" className="mt-6 self-center text-sm text-text-2 hover:text-text" onClick={onLeave}>
        {t("otherAccount")}
      </button>
    </Frame>
  );
}
