import { Link } from "@tanstack/react-router";
import {
  AtSign,
  Bell,
  Eye,
  FlaskConical,
  HeartPulse,
  type LucideIcon,
  RouterIcon,
  ShieldAlert,
  Timer,
  TimerOff,
  UserCheck,
} from "lucide-react";
import { useText } from "@/app/preferences";
import { writer, writerText } from "@/app/writer";
import { classes } from "@/ui/classes";
import { Ago } from "@/ui/time";
import type { EventName, Notification } from "./data";

const ICONS: Record<EventName | "test", LucideIcon> = {
  mention: AtSign,
  assignment: UserCheck,
  watching: Eye,
  sla_warning: Timer,
  sla_breach: TimerOff,
  alert: Bell,
  incident: ShieldAlert,
  exporter_silent: RouterIcon,
  health: HeartPulse,
  test: FlaskConical,
};

/** Marks of code are for the page that shows the text as Markdown. */
function plain(text: string): string {
  return text.replaceAll("`", "");
}

/** One notification; a click leads to what it is about. */
export function NotificationRow({ item, onOpen }: { item: Notification; onOpen: () => void }) {
  const t = useText(writerText);
  const Icon = ICONS[item.event as EventName] ?? Bell;
  const look = classes(
    "flex gap-3 px-4 py-3 text-left text-sm no-underline hover:bg-hover",
    item.read ? "text-text-2" : "text-text",
  );
  const inside = (
    <>
      <Icon aria-hidden size={16} className={classes("mt-0.5 shrink-0", item.read ? "text-text-3" : "text-accent")} />
      <span className="min-w-0 flex-1">
        <span className={classes("block break-words", !item.read && "font-semibold")}>{item.title}</span>
        {item.text && <span className="line-clamp-2 block break-words text-text-2">{plain(item.text)}</span>}
        <span className="mt-0.5 block text-xs text-text-3">
          {item.by && `${writer(item.by, true, t)} · `}
          <Ago time={item.time} />
        </span>
      </span>
      {!item.read && <span aria-hidden className="mt-1.5 size-2 shrink-0 rounded-full bg-accent" />}
    </>
  );
  // Only paths of this console are followed.
  return item.link.startsWith("/") && !item.link.startsWith("//") ? (
    <Link to={item.link as "/"} onClick={onOpen} className={look}>
      {inside}
    </Link>
  ) : (
    <button type="button" onClick={onOpen} className={classes(look, "w-full")}>
      {inside}
    </button>
  );
}
