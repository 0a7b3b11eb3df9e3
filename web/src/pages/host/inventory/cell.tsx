import { useText } from "@/app/preferences";
import { useFormat } from "@/i18n/format";
import { Named } from "@/ui/masked";
import { filledIn, timeOf } from "./lists";
import { text } from "./strings";

/** The name of a member of an entry. */
export function useMemberName(): (member: string) => string {
  const t = useText(text);
  return (member) => {
    const key = `is_${member}`;
    return key in text ? t(key as "is_name") : member.replaceAll("_", " ");
  };
}

/** What a member of an entry says, in the form that fits it. */
export function Value({ member, value }: { member: string; value: unknown }) {
  const t = useText(text);
  const format = useFormat();
  if (!filledIn(value)) return <span className="text-text-3">–</span>;
  const time = timeOf(member, value);
  if (time) return <span className="num">{format.date(time)}</span>;
  if (typeof value === "boolean") return <>{t(value ? "yes" : "no")}</>;
  if (typeof value === "number") {
    return <span className="num">{member.endsWith("_bytes") ? format.bytes(value) : String(value)}</span>;
  }
  if (Array.isArray(value)) {
    const plain = value.map((one) => (typeof one === "string" ? one : JSON.stringify(one))).join(", ");
    return <Named value={plain} />;
  }
  if (typeof value === "object") return <span className="mono text-xs">{JSON.stringify(value)}</span>;
  const risky = member === "risk";
  return (
    <span className={risky ? "text-high" : undefined} title={String(value)}>
      <Named value={String(value)} />
    </span>
  );
}
