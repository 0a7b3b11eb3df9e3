import { useMutation } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { CircleAlert, CircleCheck, FlaskConical } from "lucide-react";
import { useState } from "react";
import { api, must, type Schema } from "@/api/client";
import { useText } from "@/app/preferences";
import { text } from "@/pages/rules/strings";
import { Button } from "@/ui/button";
import { Editor } from "@/ui/editor/editor";
import { yamlLanguage } from "@/ui/editor/yaml";
import { Switch } from "@/ui/form";
import { Panel } from "@/ui/panel";
import { Failure } from "@/ui/state";
import { Segmented } from "@/ui/tabs";
import { Result } from "./history";

type Shipped = Schema<"FixtureView">;

/** What to begin with where nothing ships: patterns that show the most used keys. */
const EXAMPLE = `# Each pattern makes one or many flows.
- {src: 10.0.0.5, dst: 198.51.100.7, dport: 23, repeat: 3, every: 10, bytes: 800, packets: 9, flags: SAPF,
   rev_bytes: 2400, rev_packets: 8, rev_flags: SAPF}
`;

type Expected = "alert" | "silence";

/** What the text in the editor finds in flows that somebody made up, and whether that is what was expected. */
export function Fixture({ source, valid, shipped }: { source: string; valid: boolean; shipped: readonly Shipped[] }) {
  const t = useText(text);
  const of = (expected: Expected) => shipped.find((one) => one.found === (expected === "alert"))?.text ?? EXAMPLE;
  const [expected, setExpected] = useState<Expected>("alert");
  const [flows, setFlows] = useState({ alert: of("alert"), silence: of("silence") });
  const [oneWay, setOneWay] = useState(false);
  const test = useMutation({
    mutationFn: async () => {
      const body = { source, fixture: flows[expected], one_way: oneWay };
      return { answer: await must(api.POST("/api/v1/rules/test/fixture", { body })), expected };
    },
  });
  return (
    <Panel
      title={t("fixture")}
      aside={
        <Button icon={FlaskConical} busy={test.isPending} disabled={!valid} onClick={() => test.mutate()}>
          {t("fixtureRun")}
        </Button>
      }
    >
      <p className="mb-3 mt-0 text-sm text-text-2">
        {t("fixtureHint")}{" "}
        <Link to="/help/$" params={{ _splat: "rules" }} hash="fixtures" className="text-accent underline">
          {t("fixtureKeys")}
        </Link>
      </p>
      <div className="mb-3 flex flex-wrap items-center gap-x-5 gap-y-2">
        <span className="flex items-center gap-2 text-sm text-text-2">
          <span aria-hidden>{t("fixtureShould")}</span>
          <Segmented
            label={t("fixtureShould")}
            value={expected}
            onChange={setExpected}
            tabs={[
              { value: "alert", label: t("fixtureAlert") },
              { value: "silence", label: t("fixtureSilence") },
            ]}
          />
        </span>
        <span className="flex items-center gap-2 text-sm text-text-2">
          <Switch label={t("fixtureOneWay")} checked={oneWay} onChange={setOneWay} />
          {t("fixtureOneWay")}
        </span>
      </div>
      <Editor
        value={flows[expected]}
        onChange={(value) => setFlows((before) => ({ ...before, [expected]: value }))}
        label={t("fixtureFlows")}
        language={yamlLanguage}
        onRun={() => valid && test.mutate()}
        className="h-40 overflow-hidden rounded-m border border-line"
      />
      {test.error && <Failure error={test.error} />}
      {test.data && (
        <div className="mt-3 flex flex-col gap-3">
          <Verdict answer={test.data.answer} expected={test.data.expected} />
          <Result answer={test.data.answer} {...stretch(test.data.answer)} />
        </div>
      )}
    </Panel>
  );
}

function Verdict({ answer, expected }: { answer: Schema<"TestAnswer">; expected: Expected }) {
  const t = useText(text);
  const right = answer.alerts_total > 0 === (expected === "alert");
  const Mark = right ? CircleCheck : CircleAlert;
  return (
    <div
      className={`flex items-center gap-2 text-sm font-medium ${right ? "text-good" : "text-critical"}`}
      role="status"
    >
      <Mark aria-hidden size={16} />
      {t(right ? "fixtureRight" : expected === "alert" ? "fixtureMissed" : "fixtureFalse")}
    </div>
  );
}

/** The time that the histogram is about. */
function stretch(answer: Schema<"TestAnswer">): { from: string; to: string } {
  const from = answer.histogram[0]?.start ?? "";
  const end = Date.parse(from) + answer.histogram.length * answer.step_seconds * 1000;
  return { from, to: new Date(Number.isFinite(end) ? end : 0).toISOString() };
}
