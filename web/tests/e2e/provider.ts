/** The identity provider of the tests: the npm package `oidc-provider`, as the server's own tests run it. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { ROOT } from "./server";

const FOLDER = join(ROOT, "crates/guardian/tests/oidc");

const PEOPLE = {
  ann: { preferred_username: "ann", name: "Ann Keller", email_verified: true, groups: ["soc-operators"] },
  bob: { preferred_username: "bob", name: "Bob", groups: ["kitchen"] },
  dan: { preferred_username: "dan", name: "Dan", groups: ["soc-operators"] },
};

export class IdentityProvider {
  private readonly folder = mkdtempSync(join(tmpdir(), "guardian-e2e-provider-"));
  private readonly file = join(this.folder, "people.json");
  private readonly child: ChildProcess;
  private readonly said: Interface;
  issuer = "";

  constructor() {
    if (!existsSync(join(FOLDER, "node_modules/oidc-provider")))
      throw new Error(`the provider is missing: npm ci --ignore-scripts in ${FOLDER}; cargo xtask test does it`);
    this.enter("ann");
    this.child = spawn("node", [join(FOLDER, "provider.mjs"), this.file], { stdio: ["pipe", "pipe", "ignore"] });
    if (!this.child.stdout) throw new Error("the provider has an output");
    this.said = createInterface({ input: this.child.stdout });
  }

  /** Who is at the keyboard there from now on, and whether they are refused. */
  enter(who: keyof typeof PEOPLE, deny = false): void {
    writeFileSync(this.file, JSON.stringify({ who, deny, amr: ["pwd"], people: PEOPLE }));
  }

  private line(start: string): Promise<string> {
    return new Promise((found) => {
      const look = (line: string) => {
        if (!line.startsWith(start)) return;
        this.said.off("line", look);
        found(line.slice(start.length).trim());
      };
      this.said.on("line", look);
    });
  }

  /** Waits until it knows its address. */
  async start(): Promise<void> {
    this.issuer = await this.line("issuer ");
  }

  /** Tells it where the program is, and waits until it serves. */
  async serve(program: string): Promise<void> {
    const ready = this.line("ready");
    this.child.stdin?.write(`${program}\n`);
    await ready;
  }

  stop(): void {
    this.child.kill("SIGTERM");
    rmSync(this.folder, { recursive: true, force: true });
  }
}
