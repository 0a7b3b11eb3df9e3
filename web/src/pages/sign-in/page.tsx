import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Navigate, useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect } from "react";
import { api, must } from "@/api/client";
import { useText } from "@/app/preferences";
import { type Session, sessionQuery } from "@/app/session";
import { offerQuery } from "@/factors/enrol";
import { Loading } from "@/ui/state";
import { CertificateStep } from "./certificate-step";
import { EnrolStep } from "./enrol-step";
import { FactorStep } from "./factor-step";
import { Frame } from "./frame";
import { PasswordStep } from "./password-step";
import { text } from "./strings";

/** Only paths of this console: a link must not lead elsewhere after the sign-in. */
export function safeTarget(to: string | undefined): string {
  return to?.startsWith("/") && !to.startsWith("//") && !to.includes("\\") ? to : "/";
}

/** A session that may be half opened, or none; looking does not end the sign-in. */
const presentQuery = { ...sessionQuery, retry: false, staleTime: 0 };

/** The way in: name and password or what takes their place, then the second factor, or its enrolment. */
export default function SignInPage() {
  const t = useText(text);
  const navigate = useNavigate();
  const client = useQueryClient();
  const { to } = useSearch({ from: "/sign-in" });
  const offer = useQuery(offerQuery);
  const present = useQuery(presentQuery);
  const session = present.data;
  const target = safeTarget(to);
  const active = session?.state === "active";
  useEffect(() => {
    if (active) void navigate({ to: target, replace: true });
  }, [active, target, navigate]);
  const arrive = (next: Session) => {
    // Nothing that somebody else loaded here may be shown to this person.
    client.removeQueries({ predicate: (query) => query.queryKey[0] !== "sign-in" && query.queryKey[0] !== "session" });
    client.setQueryData(sessionQuery.queryKey, next);
  };
  const leave = async () => {
    await must(api.DELETE("/api/v1/session")).catch(() => null);
    client.removeQueries({ queryKey: sessionQuery.queryKey });
    await present.refetch();
  };
  if (offer.data?.setup_needed) return <Navigate to="/setup" />;
  if (present.isPending || offer.isPending || active) {
    return (
      <Frame title={t("title")} lead="">
        <Loading rows={3} />
      </Frame>
    );
  }
  if (session?.state === "factor_required")
    return <FactorStep session={session} onDone={arrive} onLeave={() => void leave()} />;
  if (session?.state === "enrolment_required")
    return <EnrolStep session={session} onDone={arrive} onLeave={() => void leave()} />;
  if (session?.state === "certificate_required")
    return <CertificateStep onDone={arrive} onLeave={() => void leave()} />;
  return <PasswordStep offer={offer.data} target={target} onDone={arrive} />;
}
