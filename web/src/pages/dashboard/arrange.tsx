import { EyeOff, GripVertical, MoveHorizontal, Plus } from "lucide-react";
import { type KeyboardEvent, type ReactNode, useEffect, useRef, useState } from "react";
import { useText } from "@/app/preferences";
import { Button, IconButton } from "@/ui/button";
import { classes } from "@/ui/classes";
import { type Layout, moved, neighbour, STANDARD, TILES, type Tile, wider } from "./layout";
import { text } from "./strings";

interface Props {
  tile: Tile;
  /** The tiles that are shown, in order. */
  shown: readonly string[];
  layout: Layout;
  onChange: (layout: Layout) => void;
  children: ReactNode;
}

const STEPS: Record<string, -1 | 1> = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 };

function tileAt(x: number, y: number): string | undefined {
  const under = document.elementsFromPoint(x, y).find((one) => one instanceof HTMLElement && one.dataset.tile);
  return under instanceof HTMLElement ? under.dataset.tile : undefined;
}

/** A tile that can be moved: dragged by its handle, or with the arrow keys while the handle has the focus. */
export function Arrangeable({ tile, shown, layout, onChange, children }: Props) {
  const t = useText(text);
  const [dragging, setDragging] = useState(false);
  const name = t(tile.id);
  const move = (to: string | undefined) => {
    if (to && to !== tile.id) onChange({ ...layout, order: moved(layout.order, tile.id, to) });
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    move(neighbour(shown, tile.id, step));
    const handle = event.currentTarget as HTMLElement;
    requestAnimationFrame(() => handle.focus());
  };
  const follow = useRef(move);
  useEffect(() => {
    follow.current = move;
  });
  // Heard on the window: a tile that changes its place loses the capture of the pointer.
  useEffect(() => {
    if (!dragging) return;
    let last: string | undefined;
    const onMove = (event: PointerEvent) => {
      const over = tileAt(event.clientX, event.clientY);
      // Over a tile of another size, the pointer may still be there after the exchange: once is enough.
      if (over && over !== tile.id && over !== last) follow.current(over);
      last = over;
    };
    const stop = () => setDragging(false);
    addEventListener("pointermove", onMove);
    addEventListener("pointerup", stop);
    addEventListener("pointercancel", stop);
    return () => {
      removeEventListener("pointermove", onMove);
      removeEventListener("pointerup", stop);
      removeEventListener("pointercancel", stop);
    };
  }, [dragging, tile.id]);
  return (
    <div
      className={classes("flex min-w-0 flex-1 flex-col rounded-box", dragging && "opacity-60 outline-2 outline-accent")}
    >
      <div className="mb-1 flex items-center gap-1 rounded-m border border-dashed border-line-strong bg-sunken px-1">
        <button
          type="button"
          aria-label={t("moveTile", { name })}
          aria-describedby="arrange-hint"
          onKeyDown={onKeyDown}
          onPointerDown={({ currentTarget, pointerId }) => {
            // A finger is bound to what it touched first; the tile below it is wanted.
            if (currentTarget.hasPointerCapture(pointerId)) currentTarget.releasePointerCapture(pointerId);
            setDragging(true);
          }}
          className="flex h-8 min-w-0 flex-1 cursor-grab touch-none items-center gap-2 rounded-s px-1 text-left text-sm text-text-2"
        >
          <GripVertical aria-hidden size={15} className="shrink-0" />
          <span className="truncate">{name}</span>
        </button>
        <span className="max-xl:hidden">
          <IconButton
            label={t("widthOf", { name })}
            icon={MoveHorizontal}
            onClick={() =>
              onChange({
                ...layout,
                widths: { ...layout.widths, [tile.id]: wider(layout.widths[tile.id] ?? tile.width) },
              })
            }
          />
        </span>
        <IconButton
          label={t("hideTile", { name })}
          icon={EyeOff}
          onClick={() => onChange({ ...layout, hidden: [...layout.hidden, tile.id] })}
        />
      </div>
      <div inert className="flex min-w-0 flex-1 flex-col [&>*]:flex-1">
        {children}
      </div>
    </div>
  );
}

/** What stands over the tiles while they are arranged: how it is done, what is hidden, and the way out. */
export function ArrangeBar({
  layout,
  allowed,
  onChange,
  onDone,
}: {
  layout: Layout;
  allowed: readonly Tile[];
  onChange: (layout: Layout) => void;
  onDone: () => void;
}) {
  const t = useText(text);
  const hidden = TILES.filter((tile) => layout.hidden.includes(tile.id) && allowed.includes(tile));
  return (
    <section
      aria-label={t("arrange")}
      className="mx-4 mb-4 flex flex-wrap items-center gap-2 rounded-box border border-accent/40 bg-accent-soft px-3 py-2 text-sm md:mx-6"
    >
      <span id="arrange-hint" className="min-w-0 flex-1 basis-60">
        {t("arrangeHint")}
      </span>
      {hidden.map((tile) => (
        <Button
          key={tile.id}
          icon={Plus}
          onClick={() => onChange({ ...layout, hidden: layout.hidden.filter((id) => id !== tile.id) })}
        >
          {t(tile.id)}
        </Button>
      ))}
      <Button onClick={() => onChange({ ...STANDARD, refresh: layout.refresh })}>{t("reset")}</Button>
      <Button look="primary" onClick={onDone}>
        {t("done")}
      </Button>
    </section>
  );
}
