import { Problem, requestHeaders } from "@/api/client";
import { download } from "@/ui/grid/export";

/** Fetches something of the API as a file, with the tenant's header that a plain link would not send. */
export async function fetchFile(path: string, name: string, init: RequestInit = {}): Promise<true> {
  const headers = { ...requestHeaders(), ...(init.headers as Record<string, string> | undefined) };
  const answer = await fetch(path, { ...init, headers });
  if (!answer.ok) throw new Problem(answer.status, await answer.json().catch(() => null));
  download(name, [await answer.blob()], answer.headers.get("content-type") ?? "application/octet-stream");
  return true;
}
