import {
  Bell,
  BookOpen,
  Boxes,
  Bug,
  Building2,
  Container,
  Crosshair,
  DatabaseZap,
  Group,
  KeyRound,
  KeySquare,
  LayoutDashboard,
  type LucideIcon,
  MonitorSmartphone,
  PackageCheck,
  Radar,
  Rocket,
  Router as RouterIcon,
  ScrollText,
  Settings,
  ShieldAlert,
  ShieldCheck,
  SlidersHorizontal,
  SquareTerminal,
  Users,
} from "lucide-react";
import type { PlainKey } from "@/i18n/text";
import type { text } from "./strings";

/** A page that the navigation and the command palette offer. */
export interface NavigationItem {
  to:
    | "/"
    | "/alerts"
    | "/incidents"
    | "/hunt"
    | "/rules"
    | "/exporters"
    | "/hosts"
    | "/vulnerabilities"
    | "/images"
    | "/enrolment"
    | "/groups"
    | "/policies"
    | "/commands"
    | "/live-query"
    | "/software"
    | "/versions"
    | "/users"
    | "/roles"
    | "/tenants"
    | "/keys"
    | "/audit"
    | "/settings"
    | "/help"
    | "/start";
  label: PlainKey<typeof text>;
  icon: LucideIcon;
  /** Without it, the page is not offered. */
  permission?: string;
  /** The second key after `g`. */
  key?: string;
  group: "groupWatch" | "groupInvestigate" | "groupManage";
}

/** In the order they are shown; a page is one line here and one route. */
export const NAVIGATION: readonly NavigationItem[] = [
  { to: "/start", label: "start", icon: Rocket, permission: "users:manage", group: "groupWatch" },
  { to: "/", label: "dashboard", icon: LayoutDashboard, key: "d", group: "groupWatch" },
  { to: "/alerts", label: "alerts", icon: Bell, permission: "alerts:read", key: "a", group: "groupWatch" },
  {
    to: "/incidents",
    label: "incidents",
    icon: ShieldAlert,
    permission: "incidents:read",
    key: "i",
    group: "groupWatch",
  },
  { to: "/hosts", label: "hosts", icon: MonitorSmartphone, permission: "hosts:read", key: "o", group: "groupWatch" },
  {
    to: "/vulnerabilities",
    label: "vulnerabilities",
    icon: Bug,
    permission: "vulnerabilities:read",
    key: "v",
    group: "groupWatch",
  },
  { to: "/images", label: "images", icon: Container, permission: "vulnerabilities:read", group: "groupWatch" },
  { to: "/hunt", label: "hunt", icon: Crosshair, permission: "flows:read", key: "h", group: "groupInvestigate" },
  { to: "/live-query", label: "liveQuery", icon: DatabaseZap, permission: "hosts:query", group: "groupInvestigate" },
  { to: "/commands", label: "commands", icon: SquareTerminal, permission: "hosts:read", group: "groupInvestigate" },
  { to: "/software", label: "software", icon: Boxes, permission: "hosts:read", group: "groupInvestigate" },
  { to: "/rules", label: "rules", icon: Radar, permission: "rules:read", key: "r", group: "groupInvestigate" },
  {
    to: "/exporters",
    label: "exporters",
    icon: RouterIcon,
    permission: "exporters:read",
    key: "e",
    group: "groupManage",
  },
  { to: "/enrolment", label: "enrolment", icon: KeySquare, permission: "hosts:enroll", group: "groupManage" },
  { to: "/groups", label: "groups", icon: Group, permission: "hosts:read", group: "groupManage" },
  {
    to: "/policies",
    label: "policies",
    icon: SlidersHorizontal,
    permission: "policies:read",
    group: "groupManage",
  },
  { to: "/versions", label: "versions", icon: PackageCheck, permission: "hosts:read", group: "groupManage" },
  { to: "/users", label: "users", icon: Users, permission: "users:read", key: "u", group: "groupManage" },
  { to: "/roles", label: "roles", icon: ShieldCheck, permission: "users:read", group: "groupManage" },
  { to: "/tenants", label: "tenants", icon: Building2, permission: "tenants:manage", group: "groupManage" },
  { to: "/keys", label: "keys", icon: KeyRound, permission: "keys:manage", group: "groupManage" },
  { to: "/audit", label: "audit", icon: ScrollText, permission: "audit:read", group: "groupManage" },
  { to: "/settings", label: "settings", icon: Settings, permission: "settings:read", group: "groupManage" },
  { to: "/help", label: "help", icon: BookOpen, key: "m", group: "groupManage" },
];
