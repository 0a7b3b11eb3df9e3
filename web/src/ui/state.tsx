import { CloudOff, type LucideIcon, ShieldX } from "lucide-react";
import type { ReactNode } from "react";
import { Problem } from "@/api/client";
import { usePreferences, useText } from "@/app/preferences";
import { Button } from "./button";
import { classes } from "./classes";
import { text as problems, whyNot } from "./problem";
import { text } from "./strings";

/** Grey bars where content will be. */
export function Loading({ rows = 6, className }: { rows?: number; className?: string }) {
  const t = useText(text);
  return (
    <div role="status" aria-label={t("loading")} className={classes("flex flex-col gap-3 p-4", className)}>
      {Array.from({ length: rows }, (_, i) => (
        <div
          key={i}
          className={classes("shimmer h-4 rounded-s", i % 3 === 2 ? "w-3/5" : i % 3 === 1 ? "w-4/5" : "w-full")}
        />
      ))}
    </div>
  );
}

/** Nothing here, and what to do about it. */
export function Empty({
  icon: Icon,
  title,
  children,
  action,
}: {
  icon: LucideIcon;
  title: string;
  children?: ReactNode;
  action?: ReactNode;
}) {
  return (
    <div className="mx-auto flex max-w-md flex-col items-center gap-2 px-6 py-12 text-center">
      <span className="mb-1 flex size-11 items-center justify-center rounded-full border border-line bg-sunken text-text-3">
        <Icon aria-hidden size={20} strokeWidth={1.75} />
      </span>
      <div className="text-base font-semibold">{title}</div>
      {children && <div className="text-sm text-text-2">{children}</div>}
      {action && <div className="mt-3 flex flex-wrap justify-center gap-2">{action}</div>}
    </div>
  );
}

/** What went wrong, in the server's words, and a way on. */
export function Failure({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const t = useText(text);
  const forbidden = error instanceof Problem && error.status === 403;
  const { language } = usePreferences().preferences;
  const p = useText(problems);
  const detail = error instanceof Problem ? whyNot(error, p, language) : t("offline");
  return (
    <div role="alert">
      <Empty
        icon={forbidden ? ShieldX : CloudOff}
        title={forbidden ? t("forbidden") : t("failed")}
        action={onRetry && !forbidden && <Button onClick={onRetry}>{t("retry")}</Button>}
      >
        {forbidden ? t("forbiddenHint") : <span className="whitespace-pre-wrap">{detail}</span>}
      </Empty>
    </div>
  );
}

interface QueryLike<T> {
  data: T | undefined;
  error: unknown;
  refetch: () => unknown;
}

/** The three states of a query: loading, failed, there. */
export function Loaded<T>({
  query,
  rows,
  children,
}: {
  query: QueryLike<T>;
  rows?: number;
  children: (data: T) => ReactNode;
}) {
  if (query.data !== undefined) return <>{children(query.data)}</>;
  if (query.error) return <Failure error={query.error} onRetry={() => void query.refetch()} />;
  return <Loading rows={rows ?? 6} />;
}
