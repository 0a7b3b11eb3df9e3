import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Navigate, useNavigate, useSearch } from "@tanstack/react-router";
import { CircleAlert } from "lucide-react";
import { type FormEvent, useState } from "react";
import { api, must, Problem } from "@/api/client";
import { useText } from "@/app/preferences";
import { Button } from "@/ui/button";
import { Field, Input } from "@/ui/form";
import { Frame } from "./frame";
import { text } from "./strings";

/** Only paths of this console: a link must not lead elsewhere after the sign-in. */
export function safeTarget(to: string | undefined): string {
  return to?.startsWith("/") && !to.startsWith("//") && !to.includes("\\") ? to : "/";
}

export function Trouble({ children }: { children: string }) {
  return (
    <div role="alert" className="flex items-start gap-2 rounded-m bg-critical-soft px-3 py-2 text-sm text-critical">
      <CircleAlert aria-hidden size={16} className="mt-0.5 shrink-0" />
      <span>{children}</span>
    </div>
  );
}

export default function SignInPage() {
  const t = useText(text);
  const navigate = useNavigate();
  const client = useQueryClient();
  const { to } = useSearch({ from: "/sign-in" });
  const setup = useQuery({ queryKey: ["setup"], queryFn: () => must(api.GET("/api/v1/setup")) });
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  if (setup.data?.needed) return <Navigate to="/setup" />;

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      const session = await must(api.POST("/api/v1/session", { body: { name, password } }));
      client.clear();
      client.setQueryData(["session"], session);
      await navigate({ to: safeTarget(to) });
    } catch (error) {
      const locked = error instanceof Problem && error.kind === "locked";
      const wrong = error instanceof Problem && error.status === 401;
      setProblem(
        locked ? t("locked", { seconds: error.retryAfter ?? 60 }) : wrong ? t("wrong") : (error as Error).message,
      );
    } finally {
      setBusy(false);
    }
  };
  return (
    <Frame title={t("title")} lead={t("lead")}>
      <form onSubmit={submit} className="flex flex-col gap-4">
        {problem && <Trouble>{problem}</Trouble>}
        <Field label={t("name")}>
          {(ids) => (
            <Input
              {...ids}
              value={name}
              onChange={(event) => setName(event.target.value)}
              autoComplete="username"
              autoFocus
              required
              className="!h-10"
            />
          )}
        </Field>
        <Field label={t("password")}>
          {(ids) => (
            <Input
              {...ids}
              type="password"
              value={password}
              onChange={(event) => setPassword(event.target.value)}
              autoComplete="current-password"
              required
              className="!h-10"
            />
          )}
        </Field>
        <Button type="submit" look="primary" busy={busy} className="mt-2 !h-10">
          {t("signIn")}
        </Button>
      </form>
    </Frame>
  );
}
