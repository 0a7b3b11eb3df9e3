/** A line without axes: the shape of the last values. */
export function Spark({
  values,
  height = 32,
  tone = "var(--accent)",
}: {
  values: readonly number[];
  height?: number;
  tone?: string;
}) {
  if (values.length < 2) return <div style={{ height }} />;
  const top = Math.max(...values, 1e-9);
  const bottom = Math.min(...values, 0);
  const x = (i: number) => (i / (values.length - 1)) * 100;
  const y = (v: number) => height - 2 - ((v - bottom) / (top - bottom || 1)) * (height - 4);
  const line = values.map((value, i) => `${i === 0 ? "M" : "L"}${x(i).toFixed(2)} ${y(value).toFixed(2)}`).join("");
  return (
    <svg
      aria-hidden
      viewBox={`0 0 100 ${height}`}
      preserveAspectRatio="none"
      className="block w-full"
      style={{ height }}
    >
      <path d={`${line}L100 ${height}L0 ${height}Z`} fill={tone} opacity="0.1" />
      <path
        d={line}
        fill="none"
        stroke={tone}
        strokeWidth="1.500"
        vectorEffect="non-scaling-stroke"
        strokeLinejoin="round"
      />
    </svg>
  );
}
