/** How many of a whole are in one state. */
export interface StatePart {
  key: string;
  label: string;
  count: number;
  /** The class of its colour. */
  fill: string;
}

interface Props {
  label: string;
  parts: readonly StatePart[];
  total: number;
  /** How many have nothing more to come. */
  ended: number;
  /** Say the numbers below the bar as well. */
  words?: boolean | undefined;
}

/** How far many have come: a part of the bar for each state, and the numbers in words. */
export function StateBar({ label, parts, total, ended, words }: Props) {
  const there = parts.filter(({ count }) => count > 0);
  const said = there.map(({ label: name, count }) => `${name} ${count}`).join(", ");
  return (
    <div className="flex min-w-0 flex-col gap-1.5">
      <div
        role="progressbar"
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={total}
        aria-valuenow={ended}
        aria-valuetext={said}
        title={said}
        className="flex h-1.5 overflow-hidden rounded-full bg-sunken"
      >
        {there.map(({ key, count, fill }) => (
          <span key={key} className={fill} style={{ width: `${(count / Math.max(1, total)) * 100}%` }} />
        ))}
      </div>
      {words && (
        <div className="flex flex-wrap gap-x-4 gap-y-1 text-xs text-text-2">
          {there.map(({ key, label: name, count, fill }) => (
            <span key={key} className="flex items-center gap-1.5">
              <span aria-hidden className={`size-2 rounded-[2px] ${fill}`} />
              {name} <span className="num font-medium">{count}</span>
            </span>
          ))}
        </div>
      )}
    </div>
  );
}
