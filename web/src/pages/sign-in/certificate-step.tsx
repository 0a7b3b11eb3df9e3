import { RefreshCw } from "lucide-react";
import { useState } from "react";
import { api, must } from "@/api/client";
import { useText } from "@/app/preferences";
import type { Session } from "@/app/session";
import { Button } from "@/ui/button";
import { failed } from "@/ui/toast";
import { Trouble } from "@/ui/trouble";
import { Frame } from "./frame";
import { text } from "./strings";

/** The session is good only where the browser shows a client certificate of the account. */
export function CertificateStep({ onDone, onLeave }: { onDone: (session: Session) => void; onLeave: () => void }) {
  const t = useText(text);
  const [busy, setBusy] = useState(false);
  const [missing, setMissing] = useState(false);
  const again = async () => {
    setBusy(true);
    setMissing(false);
    try {
      const session = await must(api.GET("/api/v1/session"));
      if (session.state === "certificate_required") setMissing(true);
      onDone(session);
    } catch (error) {
      failed(error);
    }
    setBusy(false);
  };
  return (
    <Frame title={t("certificateTitle")} lead={t("certificateLead")}>
      {missing && (
        <div className="mb-4">
          <Trouble>{t("certificateMissing")}</Trouble>
        </div>
      )}
      <Button look="primary" icon={RefreshCw} busy={busy} onClick={() => void again()} className="!h-10 w-full">
        {t("certificateAgain")}
      </Button>
      <button type="button" className="mt-6 self-center text-sm text-text-2 hover:text-text" onClick={onLeave}>
        {t("otherAccount")}
      </button>
    </Frame>
  );
}
