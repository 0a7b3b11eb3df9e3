import type { TableView } from "@/ui/editor/filter-language";

type Column = TableView["columns"][number];

/** A value as the filter language writes it. */
export function literal(value: unknown): string {
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  const plain = String(value);
  return /^[\w.:/-]+$/.test(plain) ? plain : `"${plain.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}

/** Adds a condition to a filter; an `or` in it is put in parentheses, because `and` binds stronger. */
export function withCondition(filter: string, condition: string): string {
  const before = filter.trim();
  if (!before) return condition;
  const loose = /\bor\b|\|\|/i.test(before) && !/^\([^()]*\)$/.test(before);
  return `${loose ? `(${before})` : before} and ${condition}`;
}

/** The operators that fit a column. */
export function operators(column: Column | undefined): readonly string[] {
  switch (column?.type) {
    case "ip":
      return ["=", "!=", "in", "not in"];
    case "label":
    case "text":
      return ["=", "!=", "like", "not like", "in"];
    case "time":
      return [">=", "<"];
    default:
      return ["=", "!=", ">", ">=", "<", "<=", "in", "not in"];
  }
}

/** `in` takes a list; one prefix stands without parentheses. */
export function condition(column: string, operator: string, value: string): string {
  const trimmed = value.trim();
  if (operator === "in" || operator === "not in") {
    const list = trimmed.includes(",") && !trimmed.startsWith("(") ? `(${trimmed})` : trimmed;
    return `${column} ${operator} ${list.startsWith("(") || list.includes("/") ? list : `(${list})`}`;
  }
  return `${column} ${operator} ${/^\d[\w.:+-]*$/.test(trimmed) ? trimmed : literal(trimmed)}`;
}

/** The simple comparisons of a filter, or null when it says more than a selection of a rule can. */
export function comparisons(filter: string): { column: string; operator: string; value: string }[] | null {
  if (/\bor\b|\bnot\b|[()|]/i.test(filter)) return null;
  const parts = filter.split(/\s+and\s+/i).map((part) => /^\s*(\w+)\s*(=|>=|<=|>|<)\s*(.+?)\s*$/.exec(part));
  if (parts.some((part) => part === null)) return null;
  return parts.map((part) => ({
    column: part?.[1] ?? "",
    operator: part?.[2] ?? "",
    value: (part?.[3] ?? "").replace(/^"|"$/g, ""),
  }));
}

const MODIFIERS: Record<string, string> = { ">": "|gt", ">=": "|gte", "<": "|lt", "<=": "|lte", "=": "" };

/** A rule that matches what the filter finds, as far as that is a plain selection; else a start for one. */
export function ruleFrom(filter: string, id: string): string {
  const found = comparisons(filter);
  const selection = found?.map(({ column, operator, value }) => {
    const size = /^(\d+(?:\.\d+)?)(KB|MB|GB)$/i.exec(value);
    const factor = { kb: 1e3, mb: 1e6, gb: 1e9 }[size?.[2]?.toLowerCase() ?? ""] ?? 1;
    const shown = size
      ? String(Number(size[1]) * factor)
      : /^\d+$/.test(value)
        ? value
        : `'${value.replaceAll("'", "''")}'`;
    return `    ${column}${MODIFIERS[operator] ?? ""}: ${shown}`;
  });
  return [
    "title: Hunted traffic",
    `id: ${id}`,
    "status: experimental",
    `description: Made from the hunt ${JSON.stringify(filter)}.`,
    "logsource:",
    "  category: network_connection",
    "detection:",
    "  selection:",
    ...(selection ?? ["    dst_port: 4444"]),
    "  condition: selection",
    "level: medium",
    "",
  ].join("\n");
}
