import { useNavigate, useSearch } from "@tanstack/react-router";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { PageHeader } from "@/ui/panel";
import { Tabs } from "@/ui/tabs";
import { Channels } from "./channels";
import { Deliveries } from "./deliveries";
import { Inbox } from "./inbox";
import { Preferences } from "./preferences";
import { text } from "./strings";

/** What reaches the person, how they want it, and, for administrators, where else it goes. */
export default function NotificationsPage() {
  const t = useText(text);
  const manage = useCan("notifications:manage");
  const { tab = "inbox" } = useSearch({ from: "/inside/notifications" });
  const navigate = useNavigate({ from: "/notifications" });
  const tabs = (["inbox", "preferences", ...(manage ? (["channels", "log"] as const) : [])] as const).map((value) => ({
    value,
    label: t(value),
  }));
  const shown = tabs.some(({ value }) => value === tab) ? tab : "inbox";
  return (
    <div className="mx-auto max-w-[1100px] pb-8">
      <PageHeader title={t("title")} detail={t("lead")} />
      <Tabs
        label={t("title")}
        tabs={tabs}
        value={shown}
        onChange={(next) => void navigate({ search: next === "inbox" ? {} : { tab: next }, replace: true })}
      />
      <div className="px-4 pt-4 md:px-6">
        {shown === "inbox" && <Inbox />}
        {shown === "preferences" && <Preferences />}
        {shown === "channels" && <Channels />}
        {shown === "log" && <Deliveries />}
      </div>
    </div>
  );
}
