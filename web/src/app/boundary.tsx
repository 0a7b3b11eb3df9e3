import { Compass, TriangleAlert } from "lucide-react";
import { Button, LinkButton } from "@/ui/button";
import { Empty } from "@/ui/state";
import { useText } from "./preferences";
import { text } from "./strings";

export function NotFound() {
  const t = useText(text);
  return (
    <Empty icon={Compass} title={t("notFound")} action={<LinkButton to="/">{t("toDashboard")}</LinkButton>}>
      {t("notFoundHint")}
    </Empty>
  );
}

/** What is shown when a page throws while it is drawn. */
export function Broken({ error }: { error: unknown }) {
  const t = useText(text);
  return (
    <div role="alert">
      <Empty
        icon={TriangleAlert}
        title={t("broken")}
        action={<Button onClick={() => location.reload()}>{t("reload")}</Button>}
      >
        {t("brokenHint")}
        <code className="mono mt-2 block break-all text-xs text-text-3">
          {error instanceof Error ? error.message : String(error)}
        </code>
      </Empty>
    </div>
  );
}
