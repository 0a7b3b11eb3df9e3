import { useQuery } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { type FormEvent, useState } from "react";
import { api, must } from "@/api/client";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { CertificateRows } from "@/pages/profile/identities";
import { Button } from "@/ui/button";
import { Field, Input, Textarea } from "@/ui/form";
import { Dialog } from "@/ui/overlay";
import { text } from "./strings";

/** The client certificates of an account. */
export function UserCertificates({ user, manage }: { user: string; manage: boolean }) {
  const t = useText(text);
  const { busy, act } = useAction();
  const [adding, setAdding] = useState(false);
  const [values, setValues] = useState({ name: "", pem: "" });
  const path = { id: user };
  const query = useQuery({
    queryKey: ["certificates", user],
    queryFn: () => must(api.GET("/api/v1/users/{id}/certificates", { params: { path } })),
  });
  const items = query.data?.items ?? [];
  if (!query.data || (items.length === 0 && !(manage && query.data.taken))) return null;
  const add = async (event: FormEvent) => {
    event.preventDefault();
    const added = () => must(api.POST("/api/v1/users/{id}/certificates", { params: { path }, body: values }));
    if ((await act(added, t("certificateAdded"))) === null) return;
    setAdding(false);
    setValues({ name: "", pem: "" });
    await query.refetch();
  };
  const remove = (certificate: string) => {
    const params = { path: { ...path, certificate } };
    const removed = () => must(api.DELETE("/api/v1/users/{id}/certificates/{certificate}", { params }));
    return act(() => removed().then(() => true), t("certificateRemoved")).then(() => query.refetch());
  };
  return (
    <section>
      <div className="mb-2 flex items-center justify-between">
        <h3 className="m-0 text-sm font-semibold">{t("certificates")}</h3>
        {manage && (
          <Button icon={Plus} onClick={() => setAdding(true)}>
            {t("addCertificate")}
          </Button>
        )}
      </div>
      {items.length === 0 ? (
        <p className="m-0 text-sm text-text-3">{t("noCertificates")}</p>
      ) : (
        <CertificateRows items={items} {...(manage ? { onRemove: ({ id }) => remove(id) } : {})} />
      )}
      <Dialog open={adding} onClose={() => setAdding(false)} title={t("addCertificate")}>
        <form onSubmit={add} className="flex flex-col gap-4">
          <Field label={t("certificateName")}>
            {(ids) => (
              <Input
                {...ids}
                value={values.name}
                onChange={(event) => setValues((before) => ({ ...before, name: event.target.value }))}
              />
            )}
          </Field>
          <Field label={t("pem")} hint={t("pemHint")}>
            {(ids) => (
              <Textarea
                {...ids}
                required
                rows={8}
                spellCheck={false}
                className="mono"
                value={values.pem}
                onChange={(event) => setValues((before) => ({ ...before, pem: event.target.value }))}
              />
            )}
          </Field>
          <Button type="submit" look="primary" busy={busy} className="self-end">
            {t("addCertificate")}
          </Button>
        </form>
      </Dialog>
    </section>
  );
}
