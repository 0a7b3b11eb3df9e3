import createClient from "openapi-fetch";
import type { components, paths } from "./schema";

/** A named shape of the API. */
export type Schema<K extends keyof components["schemas"]> = components["schemas"][K];

/** What the API answers when it does not do what was asked (RFC 9457). */
export class Problem extends Error {
  /** The short stable name behind the `#` of its type. */
  readonly kind: string;
  readonly status: number;
  readonly retryAfter: number | undefined;
  readonly issues: readonly unknown[];
  /** After a conflict: the thing as it is now. */
  readonly current: unknown;

  constructor(status: number, body: unknown) {
    const document = (typeof body === "object" && body !== null ? body : {}) as Record<string, unknown>;
    super(typeof document.detail === "string" ? document.detail : `HTTP ${status}`);
    this.name = "Problem";
    this.status = status;
    this.kind = typeof document.type === "string" ? (document.type.split("#")[1] ?? "") : "";
    this.retryAfter = typeof document.retry_after === "number" ? document.retry_after : undefined;
    this.issues = Array.isArray(document.issues) ? document.issues : [];
    this.current = document.current;
  }
}

const TENANT_KEY = "guardian.tenant";

/** The tenant that requests are about; null is the home tenant. */
export function currentTenant(): string | null {
  return sessionStorage.getItem(TENANT_KEY);
}

export function chooseTenant(id: string | null): void {
  if (id === null) sessionStorage.removeItem(TENANT_KEY);
  else sessionStorage.setItem(TENANT_KEY, id);
}

/** The headers of every request: changes need the first, the second names the tenant. */
export function requestHeaders(): Record<string, string> {
  const tenant = currentTenant();
  return { "x-guardian-request": "1", ...(tenant ? { "x-guardian-tenant": tenant } : {}) };
}

export const api = createClient<paths>({
  baseUrl: globalThis.location?.origin ?? "http://localhost",
  fetch: (request) => globalThis.fetch(request),
});
api.use({
  onRequest({ request }) {
    for (const [name, value] of Object.entries(requestHeaders())) request.headers.set(name, value);
    return request;
  },
});

type Listener = (problem: Problem) => void;
const listeners = new Set<Listener>();

/** Tells of every problem; the application looks for the end of the session. */
export function onProblem(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The data of an answer, or its problem thrown. */
export async function must<T>(answer: Promise<Answer<T>>): Promise<NonNullable<T>> {
  const { data, error, response } = await answer;
  if (!response.ok) {
    const problem = new Problem(response.status, error);
    for (const listener of listeners) listener(problem);
    throw problem;
  }
  return (data ?? (undefined as unknown)) as NonNullable<T>;
}
