import { useQuery } from "@tanstack/react-query";
import { ShieldMinus } from "lucide-react";
import { useState } from "react";
import { api, must } from "@/api/client";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { catalogue } from "@/i18n/text";
import type { Alert } from "@/pages/alerts/data";
import { ExceptionDialog } from "@/pages/rule/exception-form";
import { Button } from "@/ui/button";

const text = catalogue({ except: ["Add exception…", "Ausnahme hinzufügen …"] });

/** Teaches the rule to leave such events alone, with filters that the alert's own events propose. */
export function Except({ alert }: { alert: Alert }) {
  const t = useText(text);
  const may = useCan("rules:write");
  const [open, setOpen] = useState(false);
  const query = useQuery({
    queryKey: ["alerts", "exceptions", alert.id],
    queryFn: () => must(api.GET("/api/v1/alerts/{id}/exceptions", { params: { path: { id: alert.id } } })),
    enabled: may && open,
  });
  if (!may) return null;
  return (
    <>
      <Button icon={ShieldMinus} busy={query.isLoading} onClick={() => setOpen(true)}>
        {t("except")}
      </Button>
      <ExceptionDialog
        rule={query.data?.rule_id ?? alert.rule_id}
        one={open && !query.isLoading ? "new" : null}
        onClose={() => setOpen(false)}
        proposals={query.data?.items ?? []}
      />
    </>
  );
}
