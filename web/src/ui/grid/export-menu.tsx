import { Download, X } from "lucide-react";
import { type ReactElement, useRef, useState } from "react";
import { useText } from "@/app/preferences";
import { Button, IconButton } from "../button";
import { Menu, MenuItem } from "../menu";
import { text } from "../strings";
import { done, failed } from "../toast";
import type { Column } from "./column";
import { exportRows, type Pages } from "./export";

/** Something that makes a file: it may tell how far it is, and can be called off. */
export interface Making {
  label: string;
  /** Why this person cannot have it; it is listed all the same, so that they know that it is there. */
  refused?: string | undefined;
  /** Answers what to tell when it is done. */
  run: (progress: (rows: number) => void, signal: AbortSignal) => Promise<string>;
}

/** A menu of files to make. While one is made, how far it is and a way to call it off take its place. */
export function FileMenu({
  items,
  trigger,
}: {
  items: readonly Making[];
  trigger?: ReactElement<Record<string, unknown>>;
}) {
  const t = useText(text);
  const [rows, setRows] = useState<number | null>(null);
  const running = useRef<AbortController | null>(null);
  const make = async ({ run }: Making) => {
    const controller = new AbortController();
    running.current = controller;
    setRows(0);
    try {
      done(await run(setRows, controller.signal));
    } catch (error) {
      if (controller.signal.aborted) done(t("exportStopped"));
      else failed(error);
    } finally {
      setRows(null);
    }
  };
  if (rows !== null) {
    return (
      <span className="inline-flex items-center gap-1">
        <Button busy>{rows > 0 ? t("exporting", { rows }) : t("making")}</Button>
        <IconButton label={t("exportStop")} icon={X} look="plain" onClick={() => running.current?.abort()} />
      </span>
    );
  }
  return (
    <Menu trigger={trigger ?? <IconButton label={t("export")} icon={Download} look="plain" />}>
      {items.map((item) => (
        <MenuItem key={item.label} disabled={item.refused !== undefined} onSelect={() => void make(item)}>
          <span>
            {item.label}
            {item.refused && <span className="block max-w-64 text-xs">{item.refused}</span>}
          </span>
        </MenuItem>
      ))}
    </Menu>
  );
}

/** Exports everything that the filter finds, not only what is loaded; and what else can be made of the list. */
export function ExportMenu<T>({
  name,
  columns,
  pages,
  more = [],
}: {
  name: string;
  columns: readonly Column<T>[];
  pages: () => Pages<T>;
  more?: readonly Making[];
}) {
  const t = useText(text);
  const making = (label: string, kind: "csv" | "json"): Making => ({
    label,
    run: async (progress, signal) => {
      const { rows, cut } = await exportRows(name, kind, columns, pages(), progress, signal);
      return t(cut ? "exportedCut" : "exported", { rows });
    },
  });
  return <FileMenu items={[making(t("exportCsv"), "csv"), making(t("exportJson"), "json"), ...more]} />;
}
