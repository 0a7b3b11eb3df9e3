import { useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { api, must } from "@/api/client";
import { useText } from "@/app/preferences";
import { Frame } from "@/pages/sign-in/frame";
import { text } from "@/pages/sign-in/strings";
import { Button } from "@/ui/button";
import { Field, Input } from "@/ui/form";
import { Trouble } from "@/ui/trouble";

/** First run: the first administrator, with the token of the terminal. */
export default function SetupPage() {
  const t = useText(text);
  const navigate = useNavigate();
  const client = useQueryClient();
  const [values, setValues] = useState({ token: "", name: "", display_name: "", password: "", again: "" });
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const set = (name: keyof typeof values) => (event: { target: { value: string } }) =>
    setValues((before) => ({ ...before, [name]: event.target.value }));
  const differ = values.again !== "" && values.again !== values.password;
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (values.again !== values.password) return;
    setBusy(true);
    setProblem(null);
    try {
      const { again: _, ...body } = values;
      const session = await must(api.POST("/api/v1/setup", { body: { ...body, token: body.token.trim() } }));
      client.clear();
      client.setQueryData(["session"], session);
      await navigate({ to: "/start" });
    } catch (error) {
      setProblem((error as Error).message);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Frame title={t("setupTitle")} lead={t("setupLead")}>
      <form onSubmit={submit} className="flex flex-col gap-4">
        {problem && <Trouble>{problem}</Trouble>}
        <Field label={t("token")}>
          {(ids) => (
            <Input
              {...ids}
              value={values.token}
              onChange={set("token")}
              autoComplete="one-time-code"
              autoFocus
              required
              className="mono"
            />
          )}
        </Field>
        <div className="grid gap-4 sm:grid-cols-2">
          <Field label={t("name")}>
            {(ids) => <Input {...ids} value={values.name} onChange={set("name")} autoComplete="username" required />}
          </Field>
          <Field label={t("displayName")} hint={t("optional")}>
            {(ids) => <Input {...ids} value={values.display_name} onChange={set("display_name")} autoComplete="name" />}
          </Field>
        </div>
        <Field label={t("password")} hint={t("passwordHint")}>
          {(ids) => (
            <Input
              {...ids}
              type="password"
              value={values.password}
              onChange={set("password")}
              autoComplete="new-password"
              required
            />
          )}
        </Field>
        <Field label={t("again")} error={differ ? t("differ") : null}>
          {(ids) => (
            <Input
              {...ids}
              type="password"
              value={values.again}
              onChange={set("again")}
              autoComplete="new-password"
              required
            />
          )}
        </Field>
        <Button type="submit" look="primary" busy={busy} disabled={differ} className="mt-2 !h-10">
          {t("create")}
        </Button>
        <Link to="/sign-in" className="text-center text-sm text-text-2 hover:text-text">
          {t("haveAccount")}
        </Link>
      </form>
    </Frame>
  );
}
