import { type PointerEvent, useRef, useState } from "react";
import { useFormat } from "@/i18n/format";
import { classes } from "@/ui/classes";
import { ceiling, DAY_MS, ticks } from "./scale";

/** One step of a histogram: its parts are drawn on top of each other, the first at the bottom. */
export interface Bar {
  start: number;
  parts: readonly number[];
}

interface BarsProps {
  label: string;
  bars: readonly Bar[];
  from: number;
  to: number;
  stepMs: number;
  /** One colour and one name for each part. */
  fills: readonly string[];
  names: readonly string[];
  height?: number;
  show?: (value: number) => string;
  /** A stretch was chosen with the pointer. */
  onBrush?: (from: number, to: number) => void;
  className?: string;
}

const WIDTH = 1000;

/** Values over time as bars; a stretch can be chosen by dragging. */
export function Bars(props: BarsProps) {
  const { bars, from, to, stepMs, fills, names, height = 120, onBrush } = props;
  const format = useFormat();
  const show = props.show ?? format.count;
  const box = useRef<HTMLDivElement>(null);
  const [hover, setHover] = useState<number | null>(null);
  const [drag, setDrag] = useState<{ a: number; b: number } | null>(null);
  const largest = Math.max(0, ...bars.map((bar) => bar.parts.reduce((sum, n) => sum + n, 0)));
  const top = ceiling(largest);
  const span = Math.max(1, to - from);
  const x = (time: number) => ((time - from) / span) * WIDTH;
  const width = Math.max(1, (stepMs / span) * WIDTH - 1.5);
  const at = (event: PointerEvent) => {
    const rect = box.current?.getBoundingClientRect();
    if (!rect || rect.width === 0) return from;
    return from + Math.max(0, Math.min(1, (event.clientX - rect.left) / rect.width)) * span;
  };
  const hovered = hover === null ? undefined : bars.find((bar) => hover >= bar.start && hover < bar.start + stepMs);
  const brush = drag && { left: Math.min(drag.a, drag.b), right: Math.max(drag.a, drag.b) };
  const marks = ticks(from, to, format.offset(to));
  const midnight = (time: number) => (time + format.offset(time)) % DAY_MS === 0;
  const tick = (time: number) => (midnight(time) ? format.day(time) : format.clock(time).slice(0, 5));
  return (
    <figure aria-label={props.label} className={classes("m-0", props.className)}>
      <div className="flex gap-2">
        <div
          ref={box}
          className={classes("relative min-w-0 flex-1 touch-none", onBrush && "cursor-crosshair")}
          style={{ height }}
          onPointerMove={(event) => {
            setHover(at(event));
            if (drag) setDrag({ ...drag, b: at(event) });
          }}
          onPointerLeave={() => !drag && setHover(null)}
          onPointerDown={(event) => {
            if (!onBrush || event.button !== 0) return;
            event.currentTarget.setPointerCapture(event.pointerId);
            setDrag({ a: at(event), b: at(event) });
          }}
          onPointerUp={() => {
            if (brush && onBrush && brush.right - brush.left > span / 200) onBrush(brush.left, brush.right);
            setDrag(null);
          }}
        >
          <svg
            aria-hidden
            viewBox={`0 0 ${WIDTH} ${height}`}
            preserveAspectRatio="none"
            className="absolute inset-0 size-full"
          >
            {[0, 0.5, 1].map((line) => (
              <line
                key={line}
                x1="0"
                x2={WIDTH}
                y1={height - 0.5 - line * (height - 1)}
                y2={height - 0.5 - line * (height - 1)}
                stroke="var(--line)"
                vectorEffect="non-scaling-stroke"
              />
            ))}
            {bars.map((bar) => {
              let y = height;
              return bar.parts.map((value, part) => {
                const tall = value === 0 ? 0 : Math.max(1.5, (value / top) * (height - 2));
                y -= tall;
                return value === 0 ? null : (
                  <rect
                    key={`${bar.start}-${part}`}
                    x={x(bar.start)}
                    y={y}
                    width={width}
                    height={tall}
                    fill={fills[part]}
                    opacity={hovered && hovered !== bar ? 0.55 : 1}
                  />
                );
              });
            })}
            {brush && (
              <rect
                x={x(brush.left)}
                width={x(brush.right) - x(brush.left)}
                y="0"
                height={height}
                fill="var(--accent)"
                opacity="0.22"
              />
            )}
          </svg>
          {hovered && !drag && (
            <div
              className="pointer-events-none absolute top-0 z-20 w-max rounded-m border border-line-strong bg-raised px-2.5 py-1.5 text-xs shadow-float"
              style={
                (hovered.start - from) / span > 0.6
                  ? { right: `${100 - ((hovered.start - from) / span) * 100 + 1}%` }
                  : { left: `${((hovered.start + stepMs - from) / span) * 100 + 1}%` }
              }
            >
              <div className="num mb-0.5 text-text-3">{format.time(hovered.start)}</div>
              {hovered.parts.map((value, part) =>
                value > 0 || hovered.parts.length === 1 ? (
                  <div key={names[part]} className="flex items-center gap-2">
                    <span className="size-2 rounded-[2px]" style={{ background: fills[part] }} />
                    <span className="text-text-2">{names[part]}</span>
                    <span className="num ml-auto pl-3 font-semibold">{show(value)}</span>
                  </div>
                ) : null,
              )}
            </div>
          )}
        </div>
        <div aria-hidden className="num relative w-12 shrink-0 whitespace-nowrap text-2xs text-text-3">
          {largest > 0 && (
            <>
              <span className="absolute -top-1.5">{show(top)}</span>
              <span className="absolute top-1/2 -translate-y-1/2">{show(top / 2)}</span>
            </>
          )}
        </div>
      </div>
      <div aria-hidden className="num relative mr-14 mt-1 h-4 text-2xs text-text-3">
        {marks.map((time, index) => {
          const part = (time - from) / span;
          return (
            <span
              key={time}
              className={classes(
                "absolute whitespace-nowrap",
                part < 0.04 ? "" : part > 0.96 ? "-translate-x-full" : "-translate-x-1/2",
                // A narrow chart has room for every other one.
                index % 2 === 1 && "max-sm:hidden",
              )}
              style={{ left: `${part * 100}%` }}
            >
              {tick(time)}
            </span>
          );
        })}
      </div>
      {/* A table does not keep the width that hides it; its frame does. */}
      <div className="sr-only">
        <table>
          <caption>{props.label}</caption>
          <tbody>
            {bars.map((bar) => (
              <tr key={bar.start}>
                <th scope="row">{format.time(bar.start)}</th>
                {bar.parts.map((value, part) => (
                  <td key={names[part]}>{`${names[part]}: ${show(value)}`}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </figure>
  );
}
