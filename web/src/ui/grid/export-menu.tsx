import { Download } from "lucide-react";
import { useState } from "react";
import { useText } from "@/app/preferences";
import { Button, IconButton } from "../button";
import { Menu, MenuItem } from "../menu";
import { text } from "../strings";
import { done, failed } from "../toast";
import type { Column } from "./column";
import { exportRows, type Pages } from "./export";

/** Exports everything that the filter finds, not only what is loaded. */
export function ExportMenu<T>({
  name,
  columns,
  pages,
}: {
  name: string;
  columns: readonly Column<T>[];
  pages: () => Pages<T>;
}) {
  const t = useText(text);
  const [rows, setRows] = useState<number | null>(null);
  const run = async (kind: "csv" | "json") => {
    setRows(0);
    try {
      done(t("exported", { rows: await exportRows(name, kind, columns, pages(), setRows) }));
    } catch (error) {
      failed(error);
    } finally {
      setRows(null);
    }
  };
  if (rows !== null) return <Button busy>{t("exporting", { rows })}</Button>;
  return (
    <Menu trigger={<IconButton label={t("export")} icon={Download} look="plain" />}>
      <MenuItem onSelect={() => void run("csv")}>{t("exportCsv")}</MenuItem>
      <MenuItem onSelect={() => void run("json")}>{t("exportJson")}</MenuItem>
    </Menu>
  );
}
