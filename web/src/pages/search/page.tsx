import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Search, SearchX } from "lucide-react";
import { useRef } from "react";
import { FOUND_ICONS, FOUND_KINDS, type Found, type FoundKind, foundQuery, goTo } from "@/app/found";
import { useFoundDetail } from "@/app/found-detail";
import { useKeys } from "@/app/keys";
import { useText } from "@/app/preferences";
import { useSlowText } from "@/app/slow-text";
import { SearchBox } from "@/ui/form";
import { PageHeader, Panel } from "@/ui/panel";
import { Empty, Loaded } from "@/ui/state";
import { text } from "./strings";

const MOST = 100;

/** One search over everything that one may see. */
export default function SearchPage() {
  const t = useText(text);
  const { q = "" } = useSearch({ from: "/inside/search" });
  const navigate = useNavigate({ from: "/search" });
  const box = useRef<HTMLInputElement>(null);
  const [typed, setTyped] = useSlowText(q, (next) => void navigate({ search: next ? { q: next } : {}, replace: true }));
  const query = useQuery(foundQuery(q, MOST));
  useKeys({ "/": () => box.current?.focus() });
  return (
    <div className="mx-auto max-w-[1000px] pb-8">
      <PageHeader title={t("title")} detail={t("lead")} />
      <div className="flex flex-col gap-4 px-4 md:px-6">
        <SearchBox
          ref={box}
          autoFocus
          label={t("search")}
          value={typed}
          onChange={(event) => setTyped(event.target.value)}
        />
        {q.trim() === "" ? (
          <Empty icon={Search} title={t("start")}>
            {t("startHint")}
          </Empty>
        ) : (
          <Loaded query={query} rows={8}>
            {({ items }) =>
              items.length === 0 ? (
                <Empty icon={SearchX} title={t("none", { q })}>
                  {t("noneHint")}
                </Empty>
              ) : (
                FOUND_KINDS.map((kind) => (
                  <Section key={kind} kind={kind} items={items.filter((item) => item.kind === kind)} />
                ))
              )
            }
          </Loaded>
        )}
      </div>
    </div>
  );
}

function Section({ kind, items }: { kind: FoundKind; items: readonly Found[] }) {
  const t = useText(text);
  const navigate = useNavigate();
  const detail = useFoundDetail();
  if (items.length === 0) return null;
  const Icon = FOUND_ICONS[kind];
  return (
    <Panel title={t(kind)} flush aside={<span className="num text-xs text-text-3">{items.length}</span>}>
      <ul className="m-0 list-none p-0 pb-2">
        {items.map((item) => (
          <li key={item.id}>
            <button
              type="button"
              onClick={() => goTo(item, navigate)}
              className="flex w-full items-center gap-3 px-4 py-2 text-left text-sm hover:bg-hover"
            >
              <Icon aria-hidden size={16} className="shrink-0 text-text-3" />
              <span className="min-w-0 flex-1">
                <span className="block truncate font-medium">{item.title}</span>
                {item.detail && <span className="block truncate text-xs text-text-2">{detail(item)}</span>}
              </span>
            </button>
          </li>
        ))}
      </ul>
    </Panel>
  );
}
