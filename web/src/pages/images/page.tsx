import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { Container, FilterX, SearchX } from "lucide-react";
import { useMemo } from "react";
import { allPages, useRows } from "@/api/list";
import { useText } from "@/app/preferences";
import { useFormat } from "@/i18n/format";
import { Button, LinkButton } from "@/ui/button";
import { Select } from "@/ui/form";
import type { Column } from "@/ui/grid/column";
import { ColumnsMenu, useColumns } from "@/ui/grid/columns-menu";
import { ExportMenu } from "@/ui/grid/export-menu";
import { ListFrame, ListGrid, ListSearch } from "@/ui/list";
import { Empty } from "@/ui/state";
import { Segmented } from "@/ui/tabs";
import { Ago } from "@/ui/time";
import { type Image, imageCountQuery, imagesQuery } from "./data";
import { FindingsBar, RunningOn } from "./parts";
import { type ImagesSearch, ONLY, RATINGS, SORTS } from "./search";
import { text } from "./strings";

function useImageColumns(): readonly Column<Image>[] {
  const t = useText(text);
  const format = useFormat();
  return useMemo<readonly Column<Image>[]>(
    () => [
      {
        id: "name",
        label: t("name"),
        width: 260,
        grow: 3,
        fixed: true,
        sort: "name",
        rises: true,
        cell: (image) => (
          <Link
            to="/images/$id"
            params={{ id: image.id }}
            className="mono truncate font-medium text-text no-underline hover:text-accent"
            title={image.digest}
          >
            {image.name}
          </Link>
        ),
        value: (image) => image.name,
      },
      {
        id: "distribution",
        label: t("distribution"),
        width: 116,
        grow: 0,
        cell: (image) => <span className="text-text-2">{image.distribution || t("unknown")}</span>,
        value: (image) => image.distribution,
      },
      {
        id: "findings",
        label: t("findings"),
        width: 150,
        grow: 1,
        sort: "open",
        cell: (image) => <FindingsBar image={image} />,
        value: (image) => image.open,
      },
      {
        id: "exploited",
        label: t("exploited"),
        width: 96,
        grow: 0,
        end: true,
        cell: (image) => (
          <span className={image.exploited > 0 ? "num text-critical" : "num text-text-3"}>
            {format.count(image.exploited)}
          </span>
        ),
        value: (image) => image.exploited,
      },
      {
        id: "risk",
        label: t("risk"),
        width: 80,
        grow: 0,
        end: true,
        sort: "risk",
        cell: (image) => <span className="num">{format.number(Math.round(image.risk))}</span>,
        value: (image) => image.risk,
      },
      {
        id: "hosts",
        label: t("hosts"),
        width: 150,
        grow: 1,
        sort: "hosts",
        cell: (image) => <RunningOn image={image} />,
        value: (image) => image.hosts.map(({ name }) => name).join(" "),
      },
      {
        id: "scanned",
        label: t("scanned"),
        width: 116,
        grow: 0,
        end: true,
        cell: (image) => <Ago time={image.scanned} />,
        value: (image) => image.scanned,
      },
      {
        id: "sent",
        label: t("sent"),
        width: 116,
        grow: 0,
        end: true,
        hidden: true,
        sort: "sent",
        cell: (image) => <Ago time={image.sent} />,
        value: (image) => image.sent,
      },
    ],
    [t, format],
  );
}

function Nothing({ filtered }: { filtered: boolean }) {
  const t = useText(text);
  if (filtered) {
    return (
      <Empty icon={SearchX} title={t("noneFound")}>
        {t("noneFoundHint")}
      </Empty>
    );
  }
  return (
    <Empty
      icon={Container}
      title={t("none")}
      action={
        <LinkButton to="/help/$" params={{ _splat: "vulnerabilities" }}>
          {t("about")}
        </LinkButton>
      }
    >
      {t("noneHint")}
    </Empty>
  );
}

/** The images of containers that the server keeps. */
export default function ImagesPage() {
  const t = useText(text);
  const format = useFormat();
  const state = useSearch({ from: "/inside/images" });
  const navigate = useNavigate({ from: "/images" });
  const query = imagesQuery(state);
  const list = useRows(query);
  const count = useQuery(imageCountQuery(state));
  const columns = useImageColumns();
  const { shown, ids, choose } = useColumns("images", columns);
  const change = (part: Partial<ImagesSearch>) =>
    void navigate({ search: (before) => ({ ...before, ...part }), replace: true });
  const filtered = Object.keys(state).some((key) => key !== "sort");
  const built = count.data?.advisories;
  const detail = [
    ...(count.data ? [t("count", { n: count.data.total })] : []),
    ...(built ? [t("judgedBy", { when: format.time(built) })] : []),
  ];
  return (
    <ListFrame
      title={t("title")}
      detail={detail.join(" · ") || undefined}
      tools={
        <>
          <ExportMenu name="images" columns={columns} pages={() => allPages(query)} />
          <ColumnsMenu all={columns} ids={ids} choose={choose} />
        </>
      }
      filters={
        <>
          <ListSearch label={t("search")} value={state.q} onSearch={(q) => change({ q })} />
          <Segmented
            label={t("rating")}
            value={state.rating ?? "all"}
            onChange={(rating) => change({ rating: rating === "all" ? undefined : rating })}
            tabs={(["all", ...RATINGS] as const).map((value) => ({ value, label: t(value) }))}
          />
          <Select
            label={t("only")}
            value={state.only ?? "everything"}
            onChange={(only) => change({ only: only === "everything" ? undefined : only })}
            options={(["everything", ...ONLY] as const).map((value) => ({ value, label: t(value) }))}
          />
          {filtered && (
            <Button look="quiet" icon={FilterX} onClick={() => void navigate({ search: {}, replace: true })}>
              {t("clear")}
            </Button>
          )}
        </>
      }
    >
      <ListGrid
        list={list}
        label={t("title")}
        columns={shown}
        rowId={(image) => image.id}
        total={count.data?.total}
        sort={state.sort ?? "risk"}
        onSort={(sort) => change({ sort: SORTS.find((known) => known === sort.replace(/^-/, "")) })}
        onOpen={(image) => void navigate({ to: "/images/$id", params: { id: image.id } })}
        cardHeight={76}
        card={(image) => (
          <div className="flex h-full flex-col justify-between text-sm">
            <span className="mono truncate font-medium">{image.name}</span>
            <span className="flex items-center gap-3">
              <span className="text-text-2">{image.distribution || t("unknown")}</span>
              <span className="min-w-0 flex-1">
                <FindingsBar image={image} />
              </span>
            </span>
          </div>
        )}
        empty={<Nothing filtered={filtered} />}
      />
    </ListFrame>
  );
}
