import { useQuery } from "@tanstack/react-query";
import { Link, useSearch } from "@tanstack/react-router";
import { DoorClosed, MailCheck } from "lucide-react";
import { type FormEvent, useState } from "react";
import { api, must, Problem } from "@/api/client";
import { useText } from "@/app/preferences";
import { offerQuery } from "@/factors/enrol";
import { Frame } from "@/pages/sign-in/frame";
import { text } from "@/pages/sign-in/strings";
import { Button, LinkButton } from "@/ui/button";
import { Field, Input } from "@/ui/form";
import { Empty, Loaded } from "@/ui/state";
import { Trouble } from "@/ui/trouble";

/** Asking for an account, where the tenant takes such requests. */
export default function RegisterPage() {
  const t = useText(text);
  const offer = useQuery(offerQuery);
  const { tenant } = useSearch({ from: "/register" });
  const [sent, setSent] = useState(false);
  const back = <LinkButton to="/sign-in">{t("toSignIn")}</LinkButton>;
  if (sent) {
    return (
      <Frame title={t("registerTitle")} lead="">
        <div role="status">
          <Empty icon={MailCheck} title={t("askedTitle")} action={back}>
            {t("asked")}
          </Empty>
        </div>
      </Frame>
    );
  }
  return (
    <Frame title={t("registerTitle")} lead={t("registerLead")}>
      <Loaded query={offer} rows={4}>
        {(offered) =>
          offered.self_registration || tenant ? (
            <Form tenant={tenant} onSent={() => setSent(true)} />
          ) : (
            <Empty icon={DoorClosed} title={t("closedTitle")} action={back}>
              {t("closed")}
            </Empty>
          )
        }
      </Loaded>
    </Frame>
  );
}

function Form({ tenant, onSent }: { tenant: string | undefined; onSent: () => void }) {
  const t = useText(text);
  const [values, setValues] = useState({ name: "", display_name: "", email: "", password: "", again: "" });
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const differ = values.again !== "" && values.again !== values.password;
  const bind = (key: keyof typeof values) => ({
    value: values[key],
    onChange: (event: { target: { value: string } }) =>
      setValues((before) => ({ ...before, [key]: event.target.value })),
  });
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (values.again !== values.password) return;
    setBusy(true);
    setProblem(null);
    const { again: _, email, ...rest } = values;
    try {
      await must(
        api.POST("/api/v1/registrations", { body: { ...rest, email: email.trim() || null, tenant: tenant ?? null } }),
      );
      onSent();
    } catch (error) {
      const wait = error instanceof Problem && error.status === 429;
      setProblem(wait ? t("locked", { seconds: error.retryAfter ?? 60 }) : (error as Error).message);
      setBusy(false);
    }
  };
  return (
    <form onSubmit={submit} className="flex flex-col gap-4">
      {problem && <Trouble>{problem}</Trouble>}
      <div className="grid gap-4 sm:grid-cols-2">
        <Field label={t("name")}>
          {(ids) => <Input {...ids} {...bind("name")} autoComplete="username" autoFocus required />}
        </Field>
        <Field label={t("displayName")}>
          {(ids) => <Input {...ids} {...bind("display_name")} autoComplete="name" />}
        </Field>
      </div>
      <Field label={t("email")} hint={t("optional")}>
        {(ids) => <Input {...ids} {...bind("email")} type="email" autoComplete="email" />}
      </Field>
      <Field label={t("password")} hint={t("passwordHint")}>
        {(ids) => <Input {...ids} {...bind("password")} type="password" autoComplete="new-password" required />}
      </Field>
      <Field label={t("again")} error={differ ? t("differ") : null}>
        {(ids) => <Input {...ids} {...bind("again")} type="password" autoComplete="new-password" required />}
      </Field>
      <Button type="submit" look="primary" busy={busy} disabled={differ} className="mt-2 !h-10">
        {t("ask")}
      </Button>
      <Link to="/sign-in" className="text-center text-sm text-text-2 hover:text-text">
        {t("haveAccount")}
      </Link>
    </form>
  );
}
