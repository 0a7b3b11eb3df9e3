/** Reads the state of a page from the URL. What is missing or wrong is left out, so that URLs stay short. */
type Raw = Record<string, unknown>;

type Kind = "text" | "number" | "flag";
type Value<K extends Kind | readonly string[]> = K extends readonly (infer U)[]
  ? U
  : K extends "number"
    ? number
    : K extends "flag"
      ? boolean
      : string;

/** `search({ q: "text", sort: ["newest", "severity"] })` makes the validator of a route. */
export function search<const S extends Record<string, Kind | readonly string[]>>(shape: S) {
  return (raw: Raw): { [K in keyof S]?: Value<S[K]> } => {
    const found: Record<string, unknown> = {};
    for (const [name, kind] of Object.entries(shape)) {
      const value = raw[name];
      if (value === undefined || value === null || value === "") continue;
      if (kind === "number") {
        const number = Number(value);
        if (Number.isFinite(number)) found[name] = number;
      } else if (kind === "flag") {
        if (value === true || value === "true") found[name] = true;
      } else if (kind === "text") {
        found[name] = String(value);
      } else if (kind.includes(String(value))) {
        found[name] = String(value);
      }
    }
    return found as { [K in keyof S]?: Value<S[K]> };
  };
}

/** The state of a list that is only searched and sorted. */
export const listSearch = search({ q: "text", sort: "text" });
export type ListState = ReturnType<typeof listSearch>;
