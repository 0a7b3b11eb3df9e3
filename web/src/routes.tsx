import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  redirect,
  useRouter,
} from "@tanstack/react-router";
import { useEffect } from "react";
import { Problem } from "@/api/client";
import { queryClient } from "@/api/queries";
import { Broken, NotFound } from "@/app/boundary";
import { RANGES } from "@/app/range";
import { listSearch, search } from "@/app/search";
import { SessionProvider, sessionQuery, useSessionQuery } from "@/app/session";
import { Shell } from "@/app/shell";
import { alertSearch } from "@/pages/alerts/search";
import { auditSearch } from "@/pages/audit/search";
import { commandsSearch } from "@/pages/commands/search";
import { dashboardSearch } from "@/pages/dashboard/search";
import { enrolmentSearch } from "@/pages/enrolment/search";
import { exporterSearch } from "@/pages/exporters/search";
import { hostSearch } from "@/pages/host/search";
import { compareSearch } from "@/pages/host-compare/search";
import { hostsSearch } from "@/pages/hosts/search";
import { huntSearch } from "@/pages/hunt/search";
import { imageSearch, imagesSearch } from "@/pages/images/search";
import { incidentSearch } from "@/pages/incidents/search";
import { liveQuerySearch } from "@/pages/live-query/search";
import { policiesSearch } from "@/pages/policies/search";
import { policySearch } from "@/pages/policy/search";
import { ruleSearch, rulesSearch } from "@/pages/rules/search";
import { softwareSearch } from "@/pages/software/search";
import { usersSearch } from "@/pages/users/search";
import { vulnerabilitiesSearch } from "@/pages/vulnerabilities/search";
import { Loading } from "@/ui/state";

const root = createRootRoute({ component: Outlet, notFoundComponent: NotFound });

const signIn = createRoute({
  getParentRoute: () => root,
  path: "/sign-in",
  validateSearch: search({ to: "text" }),
  component: lazyRouteComponent(() => import("@/pages/sign-in/page")),
});
const register = createRoute({
  getParentRoute: () => root,
  path: "/register",
  validateSearch: search({ tenant: "text" }),
  component: lazyRouteComponent(() => import("@/pages/register/page")),
});
const setup = createRoute({
  getParentRoute: () => root,
  path: "/setup",
  component: lazyRouteComponent(() => import("@/pages/setup/page")),
});

/** Where the sign-in leads back to. */
function back(href: string): { to?: string } {
  return href === "/" ? {} : { to: href };
}

/**
 * Leads to the sign-in, once: until that page is loaded what was shown stays, and would set out again and again, each
 * time with the way so far as the place to come back to.
 */
function ToSignIn() {
  const router = useRouter();
  useEffect(() => {
    const { pathname, href } = router.latestLocation;
    if (pathname !== "/sign-in") void router.navigate({ to: "/sign-in", search: back(href), replace: true });
  }, [router]);
  return null;
}

function Private() {
  const { data: session, error } = useSessionQuery();
  // The session ended, or more is due: a second factor that is required from now on.
  const ended = error instanceof Problem && error.status === 401;
  if (ended || (session && session.state !== "active")) return <ToSignIn />;
  if (!session) return null;
  return (
    <SessionProvider session={session}>
      <Shell />
    </SessionProvider>
  );
}

/** Everything behind the sign-in. Whoever is not signed in is led there and back. */
const inside = createRoute({
  getParentRoute: () => root,
  id: "inside",
  beforeLoad: async ({ location }) => {
    try {
      const session = await queryClient.ensureQueryData(sessionQuery);
      if (session.state === "active") return;
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 401) throw error;
    }
    throw redirect({ to: "/sign-in", search: back(location.href) });
  },
  component: Private,
});

const home = createRoute({
  getParentRoute: () => inside,
  path: "/",
  validateSearch: dashboardSearch,
  component: lazyRouteComponent(() => import("@/pages/dashboard/page")),
});
const alerts = createRoute({
  getParentRoute: () => inside,
  path: "/alerts",
  validateSearch: alertSearch,
  component: lazyRouteComponent(() => import("@/pages/alerts/page")),
});
const alert = createRoute({
  getParentRoute: () => inside,
  path: "/alerts/$id",
  component: lazyRouteComponent(() => import("@/pages/alert/page")),
});

const entity = createRoute({
  getParentRoute: () => inside,
  path: "/entities/$kind/$value",
  validateSearch: search({ range: RANGES, from: "text", to: "text" }),
  component: lazyRouteComponent(() => import("@/pages/entity/page")),
});
const searchAll = createRoute({
  getParentRoute: () => inside,
  path: "/search",
  validateSearch: search({ q: "text" }),
  component: lazyRouteComponent(() => import("@/pages/search/page")),
});
const suppressions = createRoute({
  getParentRoute: () => inside,
  path: "/suppressions",
  validateSearch: listSearch,
  component: lazyRouteComponent(() => import("@/pages/suppressions/page")),
});
const hunt = createRoute({
  getParentRoute: () => inside,
  path: "/hunt",
  validateSearch: huntSearch,
  component: lazyRouteComponent(() => import("@/pages/hunt/page")),
});
const rules = createRoute({
  getParentRoute: () => inside,
  path: "/rules",
  validateSearch: rulesSearch,
  component: lazyRouteComponent(() => import("@/pages/rules/page")),
});
const rule = createRoute({
  getParentRoute: () => inside,
  path: "/rules/$id",
  validateSearch: ruleSearch,
  component: lazyRouteComponent(() => import("@/pages/rule/page")),
});
const coverage = createRoute({
  getParentRoute: () => inside,
  path: "/coverage",
  validateSearch: search({ range: ["24h", "7d", "30d"], show: ["gaps"] }),
  component: lazyRouteComponent(() => import("@/pages/coverage/page")),
});
const exporters = createRoute({
  getParentRoute: () => inside,
  path: "/exporters",
  validateSearch: exporterSearch,
  component: lazyRouteComponent(() => import("@/pages/exporters/page")),
});
const hosts = createRoute({
  getParentRoute: () => inside,
  path: "/hosts",
  validateSearch: hostsSearch,
  component: lazyRouteComponent(() => import("@/pages/hosts/page")),
});
const host = createRoute({
  getParentRoute: () => inside,
  path: "/hosts/$id",
  validateSearch: hostSearch,
  component: lazyRouteComponent(() => import("@/pages/host/page")),
});
const hostCompare = createRoute({
  getParentRoute: () => inside,
  path: "/hosts/compare",
  validateSearch: compareSearch,
  component: lazyRouteComponent(() => import("@/pages/host-compare/page")),
});
const vulnerabilities = createRoute({
  getParentRoute: () => inside,
  path: "/vulnerabilities",
  validateSearch: vulnerabilitiesSearch,
  component: lazyRouteComponent(() => import("@/pages/vulnerabilities/page")),
});
const vulnerability = createRoute({
  getParentRoute: () => inside,
  path: "/vulnerabilities/$name",
  component: lazyRouteComponent(() => import("@/pages/vulnerability/page")),
});
const images = createRoute({
  getParentRoute: () => inside,
  path: "/images",
  validateSearch: imagesSearch,
  component: lazyRouteComponent(() => import("@/pages/images/page")),
});
const image = createRoute({
  getParentRoute: () => inside,
  path: "/images/$id",
  validateSearch: imageSearch,
  component: lazyRouteComponent(() => import("@/pages/image/page")),
});
const enrolment = createRoute({
  getParentRoute: () => inside,
  path: "/enrolment",
  validateSearch: enrolmentSearch,
  component: lazyRouteComponent(() => import("@/pages/enrolment/page")),
});
const groups = createRoute({
  getParentRoute: () => inside,
  path: "/groups",
  validateSearch: listSearch,
  component: lazyRouteComponent(() => import("@/pages/groups/page")),
});
const policies = createRoute({
  getParentRoute: () => inside,
  path: "/policies",
  validateSearch: policiesSearch,
  component: lazyRouteComponent(() => import("@/pages/policies/page")),
});
const policy = createRoute({
  getParentRoute: () => inside,
  path: "/policies/$id",
  validateSearch: policySearch,
  component: lazyRouteComponent(() => import("@/pages/policy/page")),
});
const commands = createRoute({
  getParentRoute: () => inside,
  path: "/commands",
  validateSearch: commandsSearch,
  component: lazyRouteComponent(() => import("@/pages/commands/page")),
});
const command = createRoute({
  getParentRoute: () => inside,
  path: "/commands/$id",
  validateSearch: search({ state: "text", host: "text" }),
  component: lazyRouteComponent(() => import("@/pages/command/page")),
});
const liveQuery = createRoute({
  getParentRoute: () => inside,
  path: "/live-query",
  validateSearch: liveQuerySearch,
  component: lazyRouteComponent(() => import("@/pages/live-query/page")),
});
const software = createRoute({
  getParentRoute: () => inside,
  path: "/software",
  validateSearch: softwareSearch,
  component: lazyRouteComponent(() => import("@/pages/software/page")),
});
const versions = createRoute({
  getParentRoute: () => inside,
  path: "/versions",
  validateSearch: search({ tab: ["releases"] }),
  component: lazyRouteComponent(() => import("@/pages/versions/page")),
});
const rollout = createRoute({
  getParentRoute: () => inside,
  path: "/rollouts/$id",
  validateSearch: search({ state: "text" }),
  component: lazyRouteComponent(() => import("@/pages/rollout/page")),
});
const helpSearch = search({ q: "text" });
const help = createRoute({
  getParentRoute: () => inside,
  path: "/help",
  validateSearch: helpSearch,
  component: lazyRouteComponent(() => import("@/pages/help/page")),
});
const helpPage = createRoute({
  getParentRoute: () => inside,
  path: "/help/$",
  validateSearch: helpSearch,
  component: lazyRouteComponent(() => import("@/pages/help/page")),
});

const link = createRoute({
  getParentRoute: () => root,
  path: "/link",
  component: lazyRouteComponent(() => import("@/pages/link/page")),
});
const users = createRoute({
  getParentRoute: () => inside,
  path: "/users",
  validateSearch: usersSearch,
  component: lazyRouteComponent(() => import("@/pages/users/page")),
});
const roles = createRoute({
  getParentRoute: () => inside,
  path: "/roles",
  component: lazyRouteComponent(() => import("@/pages/roles/page")),
});
const tenants = createRoute({
  getParentRoute: () => inside,
  path: "/tenants",
  component: lazyRouteComponent(() => import("@/pages/tenants/page")),
});
const keys = createRoute({
  getParentRoute: () => inside,
  path: "/keys",
  validateSearch: listSearch,
  component: lazyRouteComponent(() => import("@/pages/keys/page")),
});
const profile = createRoute({
  getParentRoute: () => inside,
  path: "/profile",
  component: lazyRouteComponent(() => import("@/pages/profile/page")),
});
const settings = createRoute({
  getParentRoute: () => inside,
  path: "/settings",
  component: lazyRouteComponent(() => import("@/pages/settings/page")),
});

const start = createRoute({
  getParentRoute: () => inside,
  path: "/start",
  component: lazyRouteComponent(() => import("@/pages/start/page")),
});
const notifications = createRoute({
  getParentRoute: () => inside,
  path: "/notifications",
  validateSearch: search({ tab: ["inbox", "preferences", "channels", "log"] }),
  component: lazyRouteComponent(() => import("@/pages/notifications/page")),
});

const incidents = createRoute({
  getParentRoute: () => inside,
  path: "/incidents",
  validateSearch: incidentSearch,
  component: lazyRouteComponent(() => import("@/pages/incidents/page")),
});
const incident = createRoute({
  getParentRoute: () => inside,
  path: "/incidents/$id",
  validateSearch: search({ tab: "text" }),
  component: lazyRouteComponent(() => import("@/pages/incident/page")),
});
const incidentSettings = createRoute({
  getParentRoute: () => inside,
  path: "/incident-settings",
  component: lazyRouteComponent(() => import("@/pages/incident-settings/page")),
});
const audit = createRoute({
  getParentRoute: () => inside,
  path: "/audit",
  validateSearch: auditSearch,
  component: lazyRouteComponent(() => import("@/pages/audit/page")),
});

/** Every page, once. */
const tree = root.addChildren([
  signIn,
  register,
  setup,
  link,
  inside.addChildren([
    home,
    alerts,
    alert,
    suppressions,
    entity,
    searchAll,
    incidents,
    incident,
    incidentSettings,
    hunt,
    rules,
    rule,
    coverage,
    exporters,
    hosts,
    host,
    hostCompare,
    vulnerabilities,
    vulnerability,
    images,
    image,
    enrolment,
    groups,
    policies,
    policy,
    commands,
    command,
    liveQuery,
    software,
    versions,
    rollout,
    users,
    roles,
    tenants,
    keys,
    audit,
    profile,
    notifications,
    start,
    settings,
    help,
    helpPage,
  ]),
]);

export const router = createRouter({
  routeTree: tree,
  defaultPreload: "intent",
  defaultPreloadStaleTime: 0,
  defaultPendingComponent: () => <Loading rows={8} />,
  defaultErrorComponent: Broken,
  scrollRestoration: true,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
