import { useQuery } from "@tanstack/react-query";
import { Bookmark } from "lucide-react";
import { useState } from "react";
import { api, must, Problem, type Schema } from "@/api/client";
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { IconButton } from "@/ui/button";
import { Menu, MenuItem, MenuLabel, MenuLine } from "@/ui/menu";
import { Manage } from "./manage";
import { SaveDialog } from "./save-dialog";
import { text } from "./strings";

type Hunt = Schema<"HuntView">;

/** A question to the telemetry, as it is kept. */
export type Question = Pick<Hunt, "mode" | "text" | "range">;

function useHunts() {
  const t = useText(text);
  const refresh = useFreshen("hunts");
  const { busy, act } = useAction();
  const query = useQuery({
    queryKey: ["hunts"],
    queryFn: () => must(api.GET("/api/v1/hunts")),
    enabled: useCan("views:use"),
  });
  const create = async (body: Question & { name: string; description: string; shared: boolean }) => {
    const made = await act(() => must(api.POST("/api/v1/hunts", { body })), t("saved"));
    refresh();
    return made;
  };
  const update = async (hunt: Hunt, part: Partial<Question> & { shared?: boolean }) => {
    const { version, name, description, mode, text: words, range, shared } = hunt;
    const body = { version, name, description, mode, text: words, range, shared, ...part };
    await act(async () => {
      try {
        return await must(api.PATCH("/api/v1/hunts/{id}", { params: { path: { id: hunt.id } }, body }));
      } catch (error) {
        if (error instanceof Problem && error.kind === "version-conflict") throw new Error(t("conflict"));
        throw error;
      }
    }, t("saved"));
    refresh();
  };
  const remove = async (hunt: Hunt) => {
    const params = { path: { id: hunt.id } };
    await act(() => must(api.DELETE("/api/v1/hunts/{id}", { params })).then(() => true), t("deleted"));
    refresh();
  };
  return { items: query.data?.items ?? [], busy, create, update, remove };
}

/** The saved hunts, own and shared. */
export function Hunts({ question, onOpen }: { question: Question; onOpen: (question: Question) => void }) {
  const t = useText(text);
  const may = useCan("views:use");
  const { items, busy, create, update, remove } = useHunts();
  const [saving, setSaving] = useState(false);
  const [managing, setManaging] = useState(false);
  const open = (hunt: Hunt) => {
    setManaging(false);
    onOpen(hunt);
  };
  if (!may) return null;
  return (
    <>
      <Menu trigger={<IconButton label={t("hunts")} icon={Bookmark} look="plain" />}>
        <MenuLabel>{t("hunts")}</MenuLabel>
        {items.length === 0 && <div className="px-2.5 py-1.5 text-sm text-text-3">{t("noHunts")}</div>}
        {items.map((hunt) => (
          <MenuItem key={hunt.id} onSelect={() => open(hunt)}>
            {hunt.name}
            {hunt.shared && <span className="text-xs text-text-3">{t("shared")}</span>}
          </MenuItem>
        ))}
        <MenuLine />
        <MenuItem disabled={!question.text.trim()} onSelect={() => setSaving(true)}>
          {t("saveHunt")}
        </MenuItem>
        {items.length > 0 && <MenuItem onSelect={() => setManaging(true)}>{t("manage")}</MenuItem>}
      </Menu>
      <SaveDialog
        open={saving}
        onClose={() => setSaving(false)}
        title={t("saveHunt")}
        described
        busy={busy}
        onSave={(named) => void create({ ...named, ...question }).then((made) => made && setSaving(false))}
      />
      <Manage
        open={managing}
        onClose={() => setManaging(false)}
        title={t("hunts")}
        empty={t("noHunts")}
        items={items}
        detail={(hunt) => hunt.description || hunt.text}
        onOpen={open}
        onReplace={(hunt) => void update(hunt, question)}
        onShare={(hunt, shared) => void update(hunt, { shared })}
        onDelete={(hunt) => void remove(hunt)}
      />
    </>
  );
}
