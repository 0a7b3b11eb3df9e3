import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { BookX } from "lucide-react";
import { useEffect } from "react";
import { useKeys } from "@/app/keys";
import { usePreferences, useText } from "@/app/preferences";
import { useSlowText } from "@/app/slow-text";
import { catalogue } from "@/i18n/text";
import { classes } from "@/ui/classes";
import { SearchBox } from "@/ui/form";
import { anchor, type LinkFor, Markdown } from "@/ui/markdown";
import { Empty, Loaded } from "@/ui/state";
import { find, PAGES, page, titleOf } from "./manual";

const text = catalogue({
  title: ["Manual", "Handbuch"],
  search: ["Search the manual", "Handbuch durchsuchen"],
  none: ["Nothing in the manual has all of these words", "Nichts im Handbuch enthält alle diese Wörter"],
  pages: ["Pages of the manual", "Seiten des Handbuchs"],
  language: ["", "Das Handbuch liegt auf Englisch vor."],
  api: ["API reference", "API-Referenz"],
});

/** All pages of the manual, for their titles and for the search. */
const manualQuery = {
  queryKey: ["manual"],
  queryFn: async () => new Map(await Promise.all(PAGES.map(async (name) => [name, await page(name)] as const))),
  staleTime: Number.POSITIVE_INFINITY,
};

/** Resolves a link of one page to another page of the manual. */
export function resolveLink(from: string, href: string): { page: string; hash: string } | null {
  const [path = "", hash = ""] = href.split("#");
  if (!path) return { page: from, hash };
  const base = from.includes("/") ? from.slice(0, from.lastIndexOf("/") + 1) : "";
  const name = new URL(path, `https://manual/${base}`).pathname.slice(1).replace(/\.md$/, "");
  return PAGES.includes(name) ? { page: name, hash } : null;
}

export default function HelpPage() {
  const t = useText(text);
  const { language } = usePreferences().preferences;
  const params = useParams({ strict: false });
  const name = params._splat || "start";
  const { q } = useSearch({ strict: false }) as { q?: string };
  const navigate = useNavigate();
  const manual = useQuery(manualQuery);
  const [query, setQuery] = useSlowText(
    q ?? "",
    (next) =>
      void navigate({ to: "/help/$", params: { _splat: name }, search: next ? { q: next } : {}, replace: true }),
  );
  useKeys({ "/": () => document.querySelector<HTMLInputElement>("input[type=search]")?.focus() });
  const ready = manual.data !== undefined;
  // biome-ignore lint/correctness/useExhaustiveDependencies: another page begins at its top, or at its anchor
  useEffect(() => {
    const target = location.hash ? document.getElementById(decodeURIComponent(location.hash.slice(1))) : null;
    (target ?? document.getElementById("content"))?.scrollIntoView();
  }, [name, ready]);
  const link: LinkFor = (href) => {
    if (/^(https?:|mailto:)/i.test(href)) return { href, external: true };
    const target = resolveLink(name, href);
    if (!target) return null;
    const url = `/help/${target.page}${target.hash ? `#${target.hash}` : ""}`;
    return {
      href: url,
      external: false,
      onClick: (event) => {
        event.preventDefault();
        void navigate({
          to: "/help/$",
          params: { _splat: target.page },
          ...(target.hash ? { hash: target.hash } : {}),
        });
      },
    };
  };
  return (
    <Loaded query={manual} rows={12}>
      {(texts) => (
        <div className="mx-auto grid max-w-[1200px] grid-cols-[minmax(0,1fr)] gap-x-10 px-4 md:px-6 lg:grid-cols-[220px_minmax(0,1fr)]">
          <div className="flex flex-col gap-4 pt-5 lg:sticky lg:top-0 lg:max-h-[calc(100dvh-var(--topbar))] lg:self-start lg:overflow-y-auto lg:pb-8">
            <SearchBox label={t("search")} value={query} onChange={(event) => setQuery(event.target.value)} />
            <nav aria-label={t("pages")} className="flex gap-1 overflow-x-auto lg:flex-col lg:gap-0.5">
              {PAGES.map((item) => (
                <Link
                  key={item}
                  to="/help/$"
                  params={{ _splat: item }}
                  aria-current={item === name && !q ? "page" : undefined}
                  className={classes(
                    "shrink-0 rounded-m px-2.5 py-1.5 text-sm no-underline",
                    item === name && !q
                      ? "bg-hover font-medium text-text"
                      : "text-text-2 hover:bg-hover hover:text-text",
                  )}
                >
                  {titleOf(texts.get(item) ?? "", item)}
                </Link>
              ))}
              <a
                href="/api/docs"
                className="shrink-0 rounded-m px-2.5 py-1.5 text-sm text-text-2 no-underline hover:bg-hover hover:text-text"
              >
                {t("api")}
              </a>
            </nav>
          </div>
          <article className="min-w-0 max-w-[78ch] pb-16 pt-6">
            {language === "de" && <p className="mt-0 text-xs text-text-3">{t("language")}</p>}
            {q ? <Hits query={q} texts={texts} /> : <Markdown text={texts.get(name) ?? ""} link={link} />}
          </article>
        </div>
      )}
    </Loaded>
  );
}

function Hits({ query, texts }: { query: string; texts: ReadonlyMap<string, string> }) {
  const t = useText(text);
  const hits = find(texts, query);
  if (hits.length === 0) return <Empty icon={BookX} title={t("none")} />;
  return (
    <ol className="m-0 flex list-none flex-col gap-1 p-0">
      {hits.map((hit, index) => (
        <li key={index}>
          <Link
            to="/help/$"
            params={{ _splat: hit.page }}
            hash={anchor(hit.heading)}
            className="block rounded-m px-3 py-2.5 no-underline hover:bg-hover"
          >
            <span className="text-xs text-text-3">{hit.title}</span>
            <span className="block text-base font-semibold text-text">{hit.heading}</span>
            <span className="block text-sm text-text-2">…{hit.excerpt}…</span>
          </Link>
        </li>
      ))}
    </ol>
  );
}
