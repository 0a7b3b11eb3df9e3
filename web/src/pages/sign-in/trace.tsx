import { useMemo } from "react";

const COLUMNS = 26;
const ROWS = 20;

/** A small deterministic generator, so that the picture is the same at every visit. */
function* chance(seed: number): Generator<number, never> {
  let state = seed;
  for (;;) {
    state = (state * 1664525 + 1013904223) % 4294967296;
    yield state / 4294967296;
  }
}

/** A field of quiet flows with one that stands out: what the product does, as a picture. */
export function Trace() {
  const dots = useMemo(() => {
    const next = chance(7);
    return Array.from({ length: COLUMNS * ROWS }, (_, i) => ({
      x: 20 + (i % COLUMNS) * 40,
      y: 20 + Math.floor(i / COLUMNS) * 40,
      weight: next.next().value,
    }));
  }, []);
  return (
    <svg
      aria-hidden
      viewBox={`0 0 ${COLUMNS * 40} ${ROWS * 40}`}
      preserveAspectRatio="xMidYMid slice"
      className="absolute inset-0 size-full"
    >
      {dots.map((dot) => (
        <circle
          key={`${dot.x}-${dot.y}`}
          cx={dot.x}
          cy={dot.y}
          r={1 + dot.weight * 1.6}
          fill="var(--text-3)"
          opacity={0.12 + dot.weight * 0.28}
        />
      ))}
      <g fill="none" strokeLinecap="round" strokeWidth="1.500">
        <path d="M-20 540 C 220 500 300 340 540 340 S 860 420 1100 300" stroke="var(--line-strong)" />
        <path d="M-20 620 C 260 640 380 460 540 340 S 780 130 1100 120" stroke="var(--line-strong)" />
        <path d="M-20 180 C 200 160 340 260 540 340 S 900 560 1100 600" stroke="var(--accent)" strokeWidth="2" />
      </g>
      <circle cx="540" cy="340" r="44" fill="none" stroke="var(--accent)" opacity="0.25" />
      <circle cx="540" cy="340" r="24" fill="none" stroke="var(--accent)" opacity="0.5" />
      <circle cx="540" cy="340" r="7" fill="var(--accent)" />
    </svg>
  );
}
