import type { text } from "./strings";

type Word = keyof typeof text & string;

/** One argument of an action, and how it is asked for. */
export interface Argument {
  name: string;
  label: Word;
  kind: "text" | "number" | "flag" | "list" | "span" | "parts" | "source" | "json";
  required?: boolean;
}

/** Something that hosts can be made to do. */
export interface ActionForm {
  kind: string;
  label: Word;
  hint: Word;
  arguments: readonly Argument[];
  /** It changes what people on the machine can do. */
  danger?: boolean;
  /** It makes sense on one host alone, and what it is about comes from where it was chosen. */
  preset?: boolean;
}

const span: Argument = { name: "seconds", label: "forHowLong", kind: "span" };
const process: readonly Argument[] = [
  { name: "pid", label: "pid", kind: "number", required: true },
  { name: "start_ticks", label: "startTicks", kind: "number", required: true },
  { name: "tree", label: "tree", kind: "flag" },
];

/** In the order they are offered: from what only looks to what shuts out. */
export const ACTIONS: readonly ActionForm[] = [
  { kind: "recheck", label: "recheck", hint: "recheckHint", arguments: [] },
  {
    kind: "approve",
    label: "approve",
    hint: "approveHint",
    arguments: [
      { name: "path", label: "approvePath", kind: "text" },
      { name: "reason", label: "reason", kind: "text" },
    ],
  },
  {
    kind: "report",
    label: "report",
    hint: "reportHint",
    arguments: [{ name: "inventory", label: "inventory", kind: "flag" }],
  },
  {
    kind: "scan",
    label: "scan",
    hint: "scanHint",
    arguments: [{ name: "paths", label: "paths", kind: "list", required: true }],
  },
  {
    kind: "yara",
    label: "yara",
    hint: "yaraHint",
    arguments: [
      { name: "paths", label: "paths", kind: "list", required: true },
      { name: "rules", label: "yaraRules", kind: "source", required: true },
    ],
  },
  {
    kind: "collect",
    label: "collect",
    hint: "collectHint",
    arguments: [
      { name: "parts", label: "collected", kind: "parts" },
      { name: "files", label: "files", kind: "list" },
      { name: "days", label: "days", kind: "number" },
      { name: "recipient", label: "recipient", kind: "text" },
    ],
  },
  {
    kind: "block",
    label: "block",
    hint: "blockHint",
    danger: true,
    arguments: [{ name: "address", label: "network", kind: "text", required: true }, span],
  },
  {
    kind: "unblock",
    label: "unblock",
    hint: "unblockHint",
    arguments: [{ name: "address", label: "network", kind: "text", required: true }],
  },
  {
    kind: "quarantine",
    label: "quarantine",
    hint: "quarantineHint",
    danger: true,
    arguments: [
      { name: "path", label: "path", kind: "text", required: true },
      { name: "hash", label: "hash", kind: "text" },
    ],
  },
  {
    kind: "restore",
    label: "restore",
    hint: "restoreHint",
    arguments: [
      { name: "command", label: "quarantinedBy", kind: "text", required: true },
      { name: "path", label: "restoreTo", kind: "text" },
      { name: "force", label: "overwrite", kind: "flag" },
    ],
  },
  {
    kind: "script",
    label: "script",
    hint: "scriptHint",
    danger: true,
    arguments: [{ name: "signed", label: "signedScript", kind: "json", required: true }],
  },
  {
    kind: "disable_user",
    label: "disableUser",
    hint: "disableUserHint",
    danger: true,
    arguments: [
      { name: "name", label: "user", kind: "text", required: true },
      { name: "sessions", label: "sessions", kind: "flag" },
    ],
  },
  {
    kind: "enable_user",
    label: "enableUser",
    hint: "enableUserHint",
    arguments: [{ name: "name", label: "user", kind: "text", required: true }],
  },
  {
    kind: "isolate",
    label: "isolate",
    hint: "isolateHint",
    danger: true,
    arguments: [span, { name: "keep", label: "keep", kind: "list" }, { name: "no_dns", label: "noDns", kind: "flag" }],
  },
  { kind: "release", label: "release", hint: "releaseHint", arguments: [] },
  {
    kind: "kill",
    label: "kill",
    hint: "killHint",
    danger: true,
    preset: true,
    arguments: [...process, { name: "gently", label: "gently", kind: "flag" }],
  },
  { kind: "suspend", label: "suspend", hint: "suspendHint", danger: true, preset: true, arguments: process },
  { kind: "resume", label: "resume", hint: "resumeHint", preset: true, arguments: process },
];

export function actionForm(kind: string): ActionForm | undefined {
  return ACTIONS.find((one) => one.kind === kind);
}

/** What somebody typed and chose, by the names of the arguments. */
export type Values = Readonly<Record<string, string | boolean | readonly string[]>>;

const listOf = (typed: unknown) =>
  String(typed ?? "")
    .split(/[\n,]/)
    .map((one) => one.trim())
    .filter(Boolean);

/** What was pasted, where it is a JSON object. */
function objectOf(typed: unknown): Record<string, unknown> | undefined {
  try {
    const read: unknown = JSON.parse(String(typed ?? ""));
    return read !== null && typeof read === "object" && !Array.isArray(read)
      ? (read as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

/** An action that was chosen where something is shown, with what it is about. */
export interface Preset {
  kind: string;
  values?: Values;
  /** Not to be changed, such as the boot of a process. */
  fixed?: Readonly<Record<string, unknown>>;
}

/** The action as the API takes it; what was left empty is left out. Fixed values come from where it was chosen. */
export function actionOf(form: ActionForm, values: Values, fixed: Preset["fixed"] = {}): Record<string, unknown> {
  const action: Record<string, unknown> = { kind: form.kind };
  for (const { name, kind } of form.arguments) {
    const value = values[name];
    if (value === undefined || value === "" || value === false) continue;
    if (kind === "number" || kind === "span") action[name] = Number(value);
    else if (kind === "list") action[name] = listOf(value);
    else if (kind === "json") Object.assign(action, objectOf(value), { kind: form.kind });
    else action[name] = value;
  }
  return { ...action, ...fixed };
}

const isEmpty = (value: unknown) =>
  value === undefined ||
  value === null ||
  value === "" ||
  value === false ||
  value === 0 ||
  (Array.isArray(value) && value.length === 0);

/** The arguments of an action that say anything, by their names. */
export function argumentsOf(action: unknown): [name: string, value: unknown][] {
  const all = Object.entries((action ?? {}) as Record<string, unknown>);
  return all.filter(([name, value]) => name !== "kind" && !isEmpty(value));
}

/** What to begin with to give an action once more; null where there is no form for it. */
export function presetOf(action: unknown): Preset | null {
  const given = (action ?? {}) as Record<string, unknown>;
  const form = actionForm(String(given.kind));
  if (!form) return null;
  const values: Record<string, Values[string]> = {};
  for (const { name, kind } of form.arguments) {
    const value = given[name];
    if (kind === "json") values[name] = JSON.stringify(given, null, 2);
    // No seconds are no end, and that is a choice.
    else if (kind === "span") values[name] = String(value ?? 0);
    else if (isEmpty(value)) continue;
    else if (kind === "flag") values[name] = value === true;
    else if (kind === "parts") values[name] = (value as unknown[]).map(String);
    else if (kind === "list") values[name] = (value as unknown[]).join("\n");
    else values[name] = String(value);
  }
  const whole = form.arguments.some(({ kind }) => kind === "json");
  const asked = form.arguments.map(({ name }) => name);
  const rest = whole ? [] : argumentsOf(given).filter(([name]) => !asked.includes(name));
  return { kind: form.kind, values, ...(rest.length > 0 ? { fixed: Object.fromEntries(rest) } : {}) };
}

/** Which argument of an action says what it is about, first things first. */
const GIST: Record<string, readonly string[]> = {
  isolate: [],
  quarantine: ["path"],
  restore: ["path", "command"],
  script: ["purpose", "interpreter"],
  collect: ["files", "parts"],
  scan: ["paths"],
  yara: ["paths"],
};
const GIST_USUAL = ["address", "name", "pid", "path"];

/** What an action is about, in short: the address that is blocked, the file that is taken, the account that is locked. */
export function gistOf(action: unknown): string {
  const given = (action ?? {}) as Record<string, unknown>;
  const names = GIST[String(given.kind)] ?? GIST_USUAL;
  const value = names.map((name) => given[name]).find((one) => !isEmpty(one));
  return Array.isArray(value) ? value.join(", ") : String(value ?? "");
}

/** Whether everything is there that the action needs. */
export function isReady(form: ActionForm, values: Values): boolean {
  return form.arguments.every(({ name, required, kind }) => {
    if (!required) return true;
    if (kind === "json") return objectOf(values[name]) !== undefined;
    return kind === "list" ? listOf(values[name]).length > 0 : String(values[name] ?? "").trim() !== "";
  });
}

/** How long something may stand, in seconds; 0 for no end. */
export const SPANS = { hour: 3_600, day: 86_400, week: 604_800, ever: 0 } as const;
