/** The manual: the files of `docs/`, each loaded when it is read. */
const FILES = import.meta.glob<string>(["../../../../docs/*.md", "../../../../docs/reference/*.md"], {
  query: "?raw",
  import: "default",
});

const PREFIX = "../../../../docs/";
/** What people read first comes first; the rest follows by name. */
const ORDER = [
  "start",
  "console",
  "exporters",
  "agent",
  "live-query",
  "detections",
  "rules",
  "filters",
  "loss",
  "troubleshooting",
  "architecture",
];
const LEFT_OUT = new Set(["README"]);

/** Names of the pages, such as `filters` or `reference/cli`. */
export const PAGES: readonly string[] = Object.keys(FILES)
  .map((path) => path.slice(PREFIX.length, -".md".length))
  .filter((name) => !LEFT_OUT.has(name))
  .sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));

function rank(name: string): number {
  const at = ORDER.indexOf(name);
  return at >= 0 ? at : name.includes("/") ? 99 : 50;
}

export async function page(name: string): Promise<string> {
  const load = FILES[`${PREFIX}${name}.md`];
  if (!load) throw new Error(`no page ${name}`);
  return load();
}

export interface Hit {
  page: string;
  title: string;
  heading: string;
  excerpt: string;
  score: number;
}

/** The first heading of a page. */
export function titleOf(text: string, name: string): string {
  return /^# (.+)$/m.exec(text)?.[1] ?? name;
}

/** Sections that have all words, best first: words in headings weigh more. */
export function find(texts: ReadonlyMap<string, string>, query: string, limit = 30): Hit[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return [];
  const hits: Hit[] = [];
  for (const [name, text] of texts) {
    const title = titleOf(text, name);
    for (const section of text.split(/^(?=#{1,3} )/m)) {
      const heading = /^#{1,3} (.+)$/m.exec(section)?.[1] ?? title;
      const low = section.toLowerCase();
      if (!words.every((word) => low.includes(word))) continue;
      const score = words.reduce(
        (sum, word) => sum + (heading.toLowerCase().includes(word) ? 10 : 0) + Math.min(5, low.split(word).length - 1),
        0,
      );
      const at = Math.max(0, low.indexOf(words[0] ?? "", heading.length) - 60);
      const excerpt = section
        .slice(at, at + 180)
        .replace(/[#`*|_]|\s+/g, " ")
        .trim();
      hits.push({ page: name, title, heading, excerpt, score: name.includes("/") ? score / 3 : score });
    }
  }
  return hits.sort((a, b) => b.score - a.score).slice(0, limit);
}
