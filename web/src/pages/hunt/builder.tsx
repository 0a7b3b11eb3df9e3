import { useQuery } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { type FormEvent, useMemo, useState } from "react";
import { useText } from "@/app/preferences";
import { Button } from "@/ui/button";
import type { TableView } from "@/ui/editor/filter-language";
import { Field, Input, Select } from "@/ui/form";
import { Dialog } from "@/ui/overlay";
import { condition, literal, operators } from "./filter";
import type { HuntSearch } from "./search";
import { text } from "./strings";
import { columnsOf, valuesQuery } from "./values";

const SHOWN = 8;

/** A value that was chosen takes the place of another, or joins a list. */
function chosenValue(before: string, operator: string, value: unknown): string {
  const list = operator === "in" || operator === "not in";
  return list && before.trim() ? `${before.trim().replace(/,$/, "")}, ${literal(value)}` : String(value);
}

/** Builds one condition without knowing the language. */
export function Builder({
  table,
  state,
  onAdd,
}: {
  table: TableView | undefined;
  /** Its stretch of time is where values are looked for. */
  state: HuntSearch;
  onAdd: (condition: string) => void;
}) {
  const t = useText(text);
  const [open, setOpen] = useState(false);
  const [column, setColumn] = useState("src_ip");
  const [operator, setOperator] = useState("=");
  const [value, setValue] = useState("");
  const columns = table?.columns ?? [];
  const chosen = columns.find((c) => c.name === column);
  const fitting = operators(chosen);
  const known = useMemo(() => columnsOf(table, column), [table, column]);
  const frequent = useQuery({ ...valuesQuery(known, state), enabled: open && known.length > 0 });
  const values = frequent.data?.slice(0, SHOWN) ?? [];
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!value.trim()) return;
    onAdd(condition(column, fitting.includes(operator) ? operator : (fitting[0] ?? "="), value));
    setValue("");
    setOpen(false);
  };
  return (
    <>
      <Button icon={Plus} className="!h-9" onClick={() => setOpen(true)}>
        {t("addCondition")}
      </Button>
      <Dialog open={open} onClose={() => setOpen(false)} title={t("addCondition")}>
        <form onSubmit={submit} className="flex flex-col gap-4">
          <Field label={t("column")} hint={chosen?.doc}>
            {(ids) => (
              <Select
                {...ids}
                label={t("column")}
                value={column}
                onChange={setColumn}
                options={columns.map((c) => ({ value: c.name, label: c.name }))}
                className="w-full"
              />
            )}
          </Field>
          <div className="grid grid-cols-[140px_1fr] gap-3">
            <Field label={t("operator")}>
              {(ids) => (
                <Select
                  {...ids}
                  label={t("operator")}
                  value={fitting.includes(operator) ? operator : (fitting[0] ?? "=")}
                  onChange={setOperator}
                  options={fitting.map((o) => ({ value: o, label: o }))}
                  className="w-full"
                />
              )}
            </Field>
            <Field label={t("value")}>
              {(ids) => (
                <Input
                  {...ids}
                  value={value}
                  onChange={(event) => setValue(event.target.value)}
                  autoFocus
                  className="mono"
                />
              )}
            </Field>
          </div>
          {values.length > 0 && (
            <ul aria-label={t("frequent")} className="m-0 flex list-none flex-wrap gap-1.5 p-0">
              {values.map(([found, flows]) => (
                <li key={String(found)}>
                  <Button
                    look="quiet"
                    className="mono !h-7 max-w-64 !border-line !px-2 !text-xs"
                    title={t("flowCount", { n: flows })}
                    onClick={() => setValue((before) => chosenValue(before, operator, found))}
                  >
                    <span className="truncate">{String(found)}</span>
                  </Button>
                </li>
              ))}
            </ul>
          )}
          <Button type="submit" look="primary" disabled={!value.trim()} className="self-end">
            {t("add")}
          </Button>
        </form>
      </Dialog>
    </>
  );
}
