import { Plus } from "lucide-react";
import { type FormEvent, useState } from "react";
import { useText } from "@/app/preferences";
import { Button } from "@/ui/button";
import type { TableView } from "@/ui/editor/filter-language";
import { Field, Input, Select } from "@/ui/form";
import { Dialog } from "@/ui/overlay";
import { condition, operators } from "./filter";
import { text } from "./strings";

/** Builds one condition without knowing the language. */
export function Builder({ table, onAdd }: { table: TableView | undefined; onAdd: (condition: string) => void }) {
  const t = useText(text);
  const [open, setOpen] = useState(false);
  const [column, setColumn] = useState("src_ip");
  const [operator, setOperator] = useState("=");
  const [value, setValue] = useState("");
  const columns = table?.columns ?? [];
  const chosen = columns.find((c) => c.name === column);
  const fitting = operators(chosen);
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
          <Button type="submit" look="primary" disabled={!value.trim()} className="self-end">
            {t("add")}
          </Button>
        </form>
      </Dialog>
    </>
  );
}
