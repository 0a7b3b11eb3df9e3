/** A line where a list would be. */
export function Nothing({ children }: { children: string }) {
  return <p className="m-0 py-3 text-sm text-text-3">{children}</p>;
}
