import { Panel } from "./panel";

/** Statements to begin with, each a button. */
export function Examples({
  title,
  examples,
  onExample,
}: {
  title: string;
  examples: readonly { label: string; sql: string }[];
  onExample: (sql: string) => void;
}) {
  return (
    <Panel title={title}>
      <ul className="m-0 grid list-none gap-2 p-0 md:grid-cols-2 xl:grid-cols-3">
        {examples.map((example) => (
          <li key={example.label}>
            <button
              type="button"
              onClick={() => onExample(example.sql)}
              className="flex h-full w-full flex-col gap-2 rounded-m border border-line bg-sunken p-3 text-left hover:border-line-strong"
            >
              <span className="text-sm font-medium">{example.label}</span>
              <code className="mono line-clamp-3 whitespace-pre-wrap text-xs text-text-3">{example.sql}</code>
            </button>
          </li>
        ))}
      </ul>
    </Panel>
  );
}
