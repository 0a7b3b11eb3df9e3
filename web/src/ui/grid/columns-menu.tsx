import { Columns3 } from "lucide-react";
import { useMemo } from "react";
import { useKept } from "@/app/kept";
import { useText } from "@/app/preferences";
import { IconButton } from "../button";
import { Menu, MenuChoice, MenuLabel } from "../menu";
import { text } from "../strings";
import { type Column, readColumns } from "./column";

/** The columns of a grid that are shown, and the setter behind the menu. */
export function useColumns<T>(grid: string, all: readonly Column<T>[]) {
  const [chosen, choose] = useKept<string[] | null>(`columns.${grid}`, readColumns);
  const ids = useMemo(
    () => new Set(chosen ?? all.filter((column) => !column.hidden).map((column) => column.id)),
    [chosen, all],
  );
  const shown = useMemo(() => all.filter((column) => column.fixed || ids.has(column.id)), [all, ids]);
  return { shown, ids, choose };
}

export function ColumnsMenu<T>({
  all,
  ids,
  choose,
}: {
  all: readonly Column<T>[];
  ids: ReadonlySet<string>;
  choose: (ids: string[]) => void;
}) {
  const t = useText(text);
  return (
    <Menu trigger={<IconButton label={t("columns")} icon={Columns3} look="plain" />}>
      <MenuLabel>{t("columns")}</MenuLabel>
      {all
        .filter((column) => !column.fixed)
        .map((column) => (
          <MenuChoice
            key={column.id}
            checked={ids.has(column.id)}
            onChange={(on) => choose(on ? [...ids, column.id] : [...ids].filter((id) => id !== column.id))}
          >
            {column.label}
          </MenuChoice>
        ))}
    </Menu>
  );
}
