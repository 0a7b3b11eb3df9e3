import { type PointerEvent, useRef, useState } from "react";
import { useFormat } from "@/i18n/format";
import { classes } from "@/ui/classes";
import { ceiling, DAY_MS, ticks } from "./scale";

/** One value over time; where a step is missing, the line breaks. */
export interface Line {
  name: string;
  tone: string;
  points: readonly { start: number; value: number }[];
}

interface LinesProps {
  label: string;
  lines: readonly Line[];
  from: number;
  to: number;
  stepMs: number;
  show: (value: number) => string;
  /** The top of the axis, where it is known, as it is for shares. */
  top?: number;
  height?: number;
  onBrush?: (from: number, to: number) => void;
}

const WIDTH = 1000;
/** Steps that may be missing without a break. */
const GAP_STEPS = 2.5;

/** The path of a line, and of the area below it. */
export function paths(
  points: Line["points"],
  x: (time: number) => number,
  y: (value: number) => number,
  gapMs: number,
  bottom: number,
): { line: string; area: string } {
  let line = "";
  let area = "";
  let before: { start: number } | null = null;
  for (const point of points) {
    const at = `${x(point.start).toFixed(1)} ${y(point.value).toFixed(1)}`;
    const broken = before === null || point.start - before.start > gapMs;
    if (broken && before) area += `L${x(before.start).toFixed(1)} ${bottom}Z`;
    line += `${broken ? "M" : "L"}${at}`;
    area += broken ? `M${x(point.start).toFixed(1)} ${bottom}L${at}` : `L${at}`;
    before = point;
  }
  if (before) area += `L${x(before.start).toFixed(1)} ${bottom}Z`;
  return { line, area };
}

/** Values over time as lines; the pointer tells what they were, and dragging looks closer. */
export function Lines(props: LinesProps) {
  const { lines, from, to, stepMs, show, height = 96, onBrush } = props;
  const format = useFormat();
  const box = useRef<HTMLDivElement>(null);
  const [hover, setHover] = useState<number | null>(null);
  const [drag, setDrag] = useState<number | null>(null);
  const span = Math.max(1, to - from);
  const top = props.top ?? ceiling(Math.max(0, ...lines.flatMap((line) => line.points.map(({ value }) => value))));
  const x = (time: number) => ((time - from) / span) * WIDTH;
  const y = (value: number) => height - 1 - (Math.min(value, top) / top) * (height - 3);
  const at = (event: PointerEvent) => {
    const rect = box.current?.getBoundingClientRect();
    if (!rect || rect.width === 0) return from;
    return from + Math.max(0, Math.min(1, (event.clientX - rect.left) / rect.width)) * span;
  };
  const near = (line: Line) =>
    hover === null
      ? undefined
      : line.points.find(({ start }) => hover >= start - stepMs / 2 && hover < start + stepMs / 2);
  const found = lines.map((line) => [line, near(line)] as const).filter(([, point]) => point !== undefined);
  const moment = found[0]?.[1]?.start;
  const marks = ticks(from, to, format.offset(to), 5);
  const midnight = (time: number) => (time + format.offset(time)) % DAY_MS === 0;
  const tick = (time: number) => (midnight(time) ? format.day(time) : format.clock(time).slice(0, 5));
  return (
    <figure aria-label={props.label} className="m-0">
      <div className="flex gap-2">
        <div
          ref={box}
          className={classes("relative min-w-0 flex-1 touch-none", onBrush && "cursor-crosshair")}
          style={{ height }}
          onPointerMove={(event) => setHover(at(event))}
          onPointerLeave={() => setHover(null)}
          onPointerDown={(event) => {
            if (!onBrush || event.button !== 0) return;
            event.currentTarget.setPointerCapture(event.pointerId);
            setDrag(at(event));
          }}
          onPointerUp={(event) => {
            const end = at(event);
            if (drag !== null && Math.abs(end - drag) > span / 100) onBrush?.(Math.min(drag, end), Math.max(drag, end));
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
            {lines.map((line, index) => {
              const { line: path, area } = paths(line.points, x, y, stepMs * GAP_STEPS, height);
              return (
                <g key={line.name}>
                  {index === 0 && <path d={area} fill={line.tone} opacity="0.1" />}
                  <path
                    d={path}
                    fill="none"
                    stroke={line.tone}
                    strokeWidth="1.500"
                    vectorEffect="non-scaling-stroke"
                    strokeLinejoin="round"
                    strokeLinecap="round"
                  />
                </g>
              );
            })}
            {drag !== null && hover !== null && (
              <rect
                x={x(Math.min(drag, hover))}
                width={Math.abs(x(hover) - x(drag))}
                y="0"
                height={height}
                fill="var(--accent)"
                opacity="0.22"
              />
            )}
            {moment !== undefined && drag === null && (
              <line
                x1={x(moment)}
                x2={x(moment)}
                y1="0"
                y2={height}
                stroke="var(--line-strong)"
                vectorEffect="non-scaling-stroke"
              />
            )}
          </svg>
          {moment !== undefined && drag === null && (
            <div
              className="pointer-events-none absolute top-0 z-20 w-max rounded-m border border-line-strong bg-raised px-2.5 py-1.5 text-xs shadow-float"
              style={
                (moment - from) / span > 0.5
                  ? { right: `${100 - ((moment - from) / span) * 100 + 1}%` }
                  : { left: `${((moment - from) / span) * 100 + 1}%` }
              }
            >
              <div className="num mb-0.5 text-text-3">{format.time(moment)}</div>
              {found.map(([line, point]) => (
                <div key={line.name} className="flex items-center gap-2">
                  <span className="size-2 rounded-[2px]" style={{ background: line.tone }} />
                  <span className="text-text-2">{line.name}</span>
                  <span className="num ml-auto pl-3 font-semibold">{show(point?.value ?? 0)}</span>
                </div>
              ))}
            </div>
          )}
        </div>
        <div aria-hidden className="num relative w-12 shrink-0 whitespace-nowrap text-2xs text-text-3">
          <span className="absolute -top-1.5">{show(top)}</span>
          <span className="absolute top-1/2 -translate-y-1/2">{show(top / 2)}</span>
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
                index % 2 === 1 && "max-sm:hidden",
                part < 0.06 ? "" : part > 0.94 ? "-translate-x-full" : "-translate-x-1/2",
              )}
              style={{ left: `${part * 100}%` }}
            >
              {tick(time)}
            </span>
          );
        })}
      </div>
      {/* What the lines say, for those who do not see them: how it was last, and at most. */}
      <div className="sr-only">
        <table>
          <caption>{props.label}</caption>
          <tbody>
            {lines.map((line) => (
              <tr key={line.name}>
                <th scope="row">{line.name}</th>
                <td>{show(line.points.at(-1)?.value ?? 0)}</td>
                <td>{show(Math.max(0, ...line.points.map(({ value }) => value)))}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </figure>
  );
}
