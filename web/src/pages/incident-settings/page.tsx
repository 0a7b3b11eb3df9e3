import { Link } from "@tanstack/react-router";
import { ArrowLeft } from "lucide-react";
import { useText } from "@/app/preferences";
import { PageHeader } from "@/ui/panel";
import { Clocks } from "./clocks";
import { text } from "./strings";
import { Templates } from "./templates";

export default function IncidentSettingsPage() {
  const t = useText(text);
  return (
    <div className="mx-auto max-w-[1100px] pb-8">
      <Link
        to="/incidents"
        className="ml-4 mt-4 inline-flex items-center gap-1.5 text-sm text-text-3 no-underline hover:text-text md:ml-6"
      >
        <ArrowLeft aria-hidden size={14} /> {t("back")}
      </Link>
      <PageHeader title={t("title")} detail={t("lead")} />
      <div className="grid grid-cols-1 items-start gap-4 px-4 md:px-6 lg:grid-cols-[minmax(0,1fr)_380px] [&>*]:min-w-0">
        <Clocks />
        <Templates />
      </div>
    </div>
  );
}
