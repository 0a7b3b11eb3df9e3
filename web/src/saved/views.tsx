import { useQuery } from "@tanstack/react-query";
import { Bookmark } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { api, must, Problem, type Schema } from "@/api/client";
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { useKept } from "@/app/kept";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { IconButton } from "@/ui/button";
import { Menu, MenuItem, MenuLabel, MenuLine } from "@/ui/menu";
import { Manage } from "./manage";
import { SaveDialog } from "./save-dialog";
import { text } from "./strings";

type View = Schema<"ViewView">;

/** What a view holds: the state in the URL, and the columns. */
interface ViewState {
  search: Record<string, unknown>;
  columns: readonly string[];
}

const readId = (stored: unknown): string | null => (typeof stored === "string" ? stored : null);

function stateOf(view: View): ViewState {
  const { search, columns } = view.state as Partial<ViewState>;
  return {
    search: typeof search === "object" && search !== null ? search : {},
    columns: Array.isArray(columns) ? columns.filter((id) => typeof id === "string") : [],
  };
}

function useViews(page: string) {
  const t = useText(text);
  const refresh = useFreshen("views");
  const { busy, act } = useAction();
  const query = useQuery({
    queryKey: ["views", page],
    queryFn: () => must(api.GET("/api/v1/views", { params: { query: { page } } })),
    enabled: useCan("views:use"),
  });
  const create = async (name: string, shared: boolean, state: ViewState) => {
    const body = { page, name, shared, state: state as unknown as Record<string, never> };
    const made = await act(() => must(api.POST("/api/v1/views", { body })), t("saved"));
    refresh();
    return made;
  };
  const update = async (view: View, part: { shared?: boolean; state?: ViewState }) => {
    const state = (part.state ?? view.state) as Record<string, never>;
    const body = { version: view.version, page, name: view.name, shared: part.shared ?? view.shared, state };
    await act(async () => {
      try {
        return await must(api.PATCH("/api/v1/views/{id}", { params: { path: { id: view.id } }, body }));
      } catch (error) {
        if (error instanceof Problem && error.kind === "version-conflict") throw new Error(t("conflict"));
        throw error;
      }
    }, t("saved"));
    refresh();
  };
  const remove = async (view: View) => {
    const params = { path: { id: view.id } };
    await act(() => must(api.DELETE("/api/v1/views/{id}", { params })).then(() => true), t("deleted"));
    refresh();
  };
  return { items: query.data?.items ?? [], busy, create, update, remove };
}

/** The saved views of a list. The one that a person made the default opens when the list opens without a state. */
export function Views({
  page,
  search,
  ids,
  choose,
  onOpen,
}: {
  page: string;
  search: Record<string, unknown>;
  ids: ReadonlySet<string>;
  choose: (ids: string[]) => void;
  onOpen: (search: Record<string, unknown>) => void;
}) {
  const t = useText(text);
  const may = useCan("views:use");
  const { items, busy, create, update, remove } = useViews(page);
  const [preferred, prefer] = useKept(`view.${page}`, readId);
  const [saving, setSaving] = useState(false);
  const [managing, setManaging] = useState(false);
  const plain = useRef(Object.keys(search).length === 0);
  const state = { search, columns: [...ids] };
  const first = items.find((view) => view.id === preferred);
  const open = (next: ViewState) => {
    plain.current = false;
    setManaging(false);
    if (next.columns.length > 0) choose([...next.columns]);
    onOpen(next.search);
  };
  useEffect(() => {
    if (first && plain.current) open(stateOf(first));
  });
  if (!may) return null;
  return (
    <>
      <Menu trigger={<IconButton label={t("views")} icon={Bookmark} look="plain" />}>
        <MenuLabel>{t("views")}</MenuLabel>
        <MenuItem onSelect={() => open({ search: {}, columns: [] })}>{t("standard")}</MenuItem>
        {items.map((view) => (
          <MenuItem key={view.id} onSelect={() => open(stateOf(view))}>
            {view.name}
            {view.shared && <span className="text-xs text-text-3">{t("shared")}</span>}
          </MenuItem>
        ))}
        <MenuLine />
        <MenuItem onSelect={() => setSaving(true)}>{t("saveView")}</MenuItem>
        {items.length > 0 && <MenuItem onSelect={() => setManaging(true)}>{t("manage")}</MenuItem>}
      </Menu>
      <SaveDialog
        open={saving}
        onClose={() => setSaving(false)}
        title={t("saveView")}
        busy={busy}
        onSave={({ name, shared }) => void create(name, shared, state).then((made) => made && setSaving(false))}
      />
      <Manage
        open={managing}
        onClose={() => setManaging(false)}
        title={t("manageViews")}
        empty={t("noViews")}
        items={items}
        preferred={preferred}
        onOpen={(view) => open(stateOf(view))}
        onReplace={(view) => void update(view, { state })}
        onShare={(view, shared) => void update(view, { shared })}
        onPrefer={prefer}
        onDelete={(view) => void remove(view)}
      />
    </>
  );
}
