import { Ellipsis } from "lucide-react";
import type { Schema } from "@/api/client";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { Badge } from "@/ui/badge";
import { Button, IconButton } from "@/ui/button";
import { Menu, MenuItem } from "@/ui/menu";
import { Dialog } from "@/ui/overlay";
import { text } from "./strings";

export interface Kept {
  id: string;
  name: string;
  shared: boolean;
  mine: boolean;
  owner?: Schema<"PersonRef"> | null;
}

/** The list of what is kept: open it, replace it, share it, make it the default, delete it. */
export function Manage<T extends Kept>({
  open,
  onClose,
  title,
  empty,
  items,
  detail,
  preferred,
  onOpen,
  onReplace,
  onShare,
  onPrefer,
  onDelete,
}: {
  open: boolean;
  onClose: () => void;
  title: string;
  empty: string;
  items: readonly T[];
  detail?: (item: T) => string;
  /** Id of the one that opens by default. */
  preferred?: string | null;
  onOpen: (item: T) => void;
  onReplace: (item: T) => void;
  onShare: (item: T, shared: boolean) => void;
  onPrefer?: (id: string | null) => void;
  onDelete: (item: T) => void;
}) {
  const t = useText(text);
  const mayShare = useCan("views:share");
  return (
    <Dialog open={open} onClose={onClose} title={title}>
      {items.length === 0 && <p className="m-0 text-sm text-text-3">{empty}</p>}
      <ul aria-label={title} className="m-0 list-none p-0">
        {items.map((item) => (
          <li key={item.id} className="flex items-center gap-3 border-t border-line py-2 text-sm first:border-0">
            <span className="min-w-0 flex-1">
              <span className="flex flex-wrap items-center gap-2">
                <span className="truncate font-medium">{item.name}</span>
                {item.shared && <Badge tone="accent">{t("shared")}</Badge>}
                {preferred === item.id && <Badge tone="good">{t("isDefault")}</Badge>}
              </span>
              <span className="block truncate text-xs text-text-3">
                {[detail?.(item), item.mine ? "" : t("by", { name: item.owner?.name ?? "" })]
                  .filter(Boolean)
                  .join(" · ")}
              </span>
            </span>
            <Button className="!h-7" onClick={() => onOpen(item)}>
              {t("open")}
            </Button>
            <Menu trigger={<IconButton label={t("actions", { name: item.name })} icon={Ellipsis} />}>
              {onPrefer && (
                <MenuItem onSelect={() => onPrefer(preferred === item.id ? null : item.id)}>
                  {t(preferred === item.id ? "noDefault" : "makeDefault")}
                </MenuItem>
              )}
              {(item.mine || mayShare) && <MenuItem onSelect={() => onReplace(item)}>{t("replace")}</MenuItem>}
              {mayShare && (
                <MenuItem onSelect={() => onShare(item, !item.shared)}>
                  {t(item.shared ? "unshare" : "shareIt")}
                </MenuItem>
              )}
              {(item.mine || mayShare) && (
                <MenuItem danger onSelect={() => onDelete(item)}>
                  {t("delete")}
                </MenuItem>
              )}
            </Menu>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}
