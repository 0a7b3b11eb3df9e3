import { CircleAlert, CircleCheck, FileUp, FolderUp } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { Problem, requestHeaders, type Schema } from "@/api/client";
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { Badge, type Tone } from "@/ui/badge";
import { Button } from "@/ui/button";
import { Switch } from "@/ui/form";
import { Dialog } from "@/ui/overlay";
import { text } from "./strings";

type Answer = Schema<"ImportAnswer">;
type Payload = { body: BodyInit; type: string };

const ZIP = /\.zip$/i;
const RULE = /\.ya?ml$/i;
const RESULTS = ["stored", "created", "updated", "unchanged", "partly", "refused", "exceptions"] as const;
const TONES: Record<string, Tone> = { refused: "critical", partly: "medium", unchanged: "neutral" };

/** What is sent for the files that were picked: one archive as it is, or the texts of rule files. */
export async function payload(files: readonly File[]): Promise<Payload | null> {
  const archive = files.find((file) => ZIP.test(file.name));
  if (archive) return { body: archive, type: "application/zip" };
  const rules = files.filter((file) => RULE.test(file.name));
  if (rules.length === 0) return null;
  const texts = await Promise.all(
    rules.map(async (file) => ({ name: file.webkitRelativePath || file.name, source: await file.text() })),
  );
  return { body: JSON.stringify({ files: texts }), type: "application/json" };
}

async function send(what: Payload, dry: boolean, enabled: boolean): Promise<Answer> {
  const answer = await fetch(`/api/v1/rules/import?dry_run=${dry}&enabled=${enabled}`, {
    method: "POST",
    body: what.body,
    headers: { ...requestHeaders(), "content-type": what.type },
  });
  const told: unknown = await answer.json().catch(() => null);
  if (!answer.ok) throw new Problem(answer.status, told);
  return told as Answer;
}

/** Takes rules in: files, a folder or an archive. First it tells what would happen. */
export function ImportRules({ open, onClose }: { open: boolean; onClose: () => void }) {
  const t = useText(text);
  return (
    <Dialog open={open} onClose={onClose} title={t("importTitle")} description={t("importHint")} wide>
      {open && <Import onClose={onClose} />}
    </Dialog>
  );
}

function Import({ onClose }: { onClose: () => void }) {
  const t = useText(text);
  const refresh = useFreshen("rules");
  const { busy, act } = useAction();
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const [picked, setPicked] = useState<Payload | null>(null);
  const [enabled, setEnabled] = useState(true);
  const [answer, setAnswer] = useState<Answer | null>(null);
  // React knows no such attribute.
  useEffect(() => folder.current?.setAttribute("webkitdirectory", ""), []);
  const pick = (list: FileList | null) =>
    void act(async () => {
      const what = await payload([...(list ?? [])]);
      if (!what) throw new Error(t("importNothing"));
      setPicked(what);
      setAnswer(await send(what, true, enabled));
      return true;
    });
  const store = () =>
    void act(async () => {
      if (!picked) return null;
      setAnswer(await send(picked, false, enabled));
      refresh();
      return true;
    }, t("imported"));
  const news = answer ? answer.created + answer.updated + answer.exceptions : 0;
  return (
    <div className="flex flex-col gap-4">
      <div className="flex flex-wrap items-center gap-2">
        <input
          ref={files}
          type="file"
          hidden
          multiple
          accept=".yml,.yaml,.zip"
          aria-label={t("importFiles")}
          onChange={(event) => pick(event.target.files)}
        />
        <input
          ref={folder}
          type="file"
          hidden
          aria-label={t("importFolder")}
          onChange={(event) => pick(event.target.files)}
        />
        <Button icon={FileUp} busy={busy} onClick={() => files.current?.click()}>
          {t("importFiles")}
        </Button>
        <Button icon={FolderUp} busy={busy} onClick={() => folder.current?.click()}>
          {t("importFolder")}
        </Button>
        <span className="flex items-center gap-3 text-sm sm:ml-auto">
          <Switch label={t("importEnabled")} checked={enabled} onChange={setEnabled} /> {t("importEnabled")}
        </span>
      </div>
      {answer && (
        <>
          <div role="status" className="num flex flex-wrap gap-2 text-sm">
            <Badge tone="good">{t("importCreated", { n: answer.created })}</Badge>
            <Badge tone="accent">{t("importUpdated", { n: answer.updated })}</Badge>
            <Badge>{t("importUnchanged", { n: answer.unchanged })}</Badge>
            {answer.exceptions > 0 && <Badge tone="low">{t("importExceptions", { n: answer.exceptions })}</Badge>}
            {answer.refused > 0 && <Badge tone="critical">{t("importRefused", { n: answer.refused })}</Badge>}
          </div>
          <Files answer={answer} />
          <div className="flex justify-end gap-2">
            {answer.dry_run ? (
              <Button look="primary" busy={busy} disabled={news === 0} onClick={store}>
                {t("importStore")}
              </Button>
            ) : (
              <Button look="primary" onClick={onClose}>
                {t("importDone")}
              </Button>
            )}
          </div>
        </>
      )}
    </div>
  );
}

function Files({ answer }: { answer: Answer }) {
  const t = useText(text);
  const word = (result: string) => {
    const known = RESULTS.find((one) => one === result);
    return known ? t(`result_${known}`) : result;
  };
  return (
    <ul
      aria-label={t("importFiles")}
      className="m-0 max-h-96 list-none overflow-y-auto rounded-m border border-line p-0"
    >
      {answer.files.map((file) => (
        <li key={file.name} className="border-b border-line px-3 py-2 text-sm last:border-0">
          <div className="flex items-center gap-2">
            {file.result === "refused" ? (
              <CircleAlert aria-hidden size={15} className="shrink-0 text-critical" />
            ) : (
              <CircleCheck aria-hidden size={15} className="shrink-0 text-good" />
            )}
            <span className="mono min-w-0 flex-1 truncate">{file.name}</span>
            <Badge tone={TONES[file.result] ?? "good"}>{word(file.result)}</Badge>
          </div>
          {file.rules.map((rule) => (
            <div key={rule.id} className="mt-1 flex items-center gap-2 pl-6 text-text-2">
              <span className="min-w-0 flex-1 truncate">{rule.title}</span>
              <span className="text-xs text-text-3">{word(rule.result)}</span>
            </div>
          ))}
          {file.issues.map((issue) => (
            <div key={`${issue.line}-${issue.message}`} className="mt-1 pl-6 text-xs text-text-2">
              <span className="num text-text-3">{t("line", { line: issue.line })}: </span>
              {issue.message}
            </div>
          ))}
        </li>
      ))}
    </ul>
  );
}
