import { Link } from "@tanstack/react-router";
import { useText } from "@/app/preferences";
import { Dialog } from "@/ui/overlay";
import { Facts } from "@/ui/panel";
import type { AnswerRow } from "./answer";
import { text } from "./strings";

/** One row with everything in it, however long it is. */
export function RowSheet({ row, onClose }: { row: AnswerRow | null; onClose: () => void }) {
  const t = useText(text);
  return (
    <Dialog open={row !== null} onClose={onClose} title={t("row")} sheet>
      {row && (
        <Facts
          items={[
            [
              t("host"),
              <Link
                key="host"
                to="/hosts/$id"
                params={{ id: row.host }}
                className="font-medium text-accent no-underline hover:underline"
              >
                {row.host_name}
              </Link>,
            ],
            ...Object.entries(row.values).map(
              ([name, value]) =>
                [
                  name,
                  value === null || value === undefined ? null : (
                    <span key={name} className="mono whitespace-pre-wrap break-all text-xs">
                      {String(value)}
                    </span>
                  ),
                ] as const,
            ),
          ]}
        />
      )}
    </Dialog>
  );
}
