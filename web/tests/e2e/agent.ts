import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { PROGRAM } from "./server";

/** The agent's program: named, or beside the server's, whichever way that is called. */
export function agentProgram(): string {
  const beside = join(
    dirname(PROGRAM),
    PROGRAM.split("/")
      .at(-1)
      ?.replace(/^guardian/, "guardian-agent") ?? "",
  );
  const candidates = [process.env.E2E_AGENT, beside, join(dirname(PROGRAM), "guardian-agent")];
  const found = candidates.find((path) => path !== undefined && path !== PROGRAM && existsSync(path));
  if (found === undefined) throw new Error("the agent's program is not there: build it, or name it in E2E_AGENT");
  return found;
}

/** A machine: an agent with a folder of its own, and a folder that it watches. */
export class Machine {
  readonly dir = mkdtempSync(join(tmpdir(), "guardian-agent-e2e-"));
  readonly watched = join(this.dir, "watched");
  #program: string;
  #child: ChildProcess | null = null;

  constructor(program: string) {
    this.#program = program;
    mkdirSync(this.watched);
  }

  /** Types what the console told to paste, but for `sudo` and where it keeps its things. */
  paste(command: string, ...more: string[]): void {
    const words = command.split(/\s+/).filter((word) => word !== "sudo" && word !== "guardian-agent");
    const env = { ...process.env };
    delete env.HTTPS_PROXY;
    delete env.https_proxy;
    const args = ["--dir", join(this.dir, "kept"), ...words, ...more];
    if (words[0] === "run") this.#child = spawn(this.#program, args, { stdio: "ignore", env });
    else execFileSync(this.#program, args, { stdio: "pipe", env });
  }

  /** The id of its host. */
  get host(): string {
    return (JSON.parse(readFileSync(join(this.dir, "kept/identity.json"), "utf8")) as { host: string }).host;
  }

  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child && child.exitCode === null) {
      const ended = new Promise((done) => child.once("exit", done));
      child.kill("SIGTERM");
      await ended;
    }
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Plays many machines for so long; they stay on the list afterwards. */
export function simulate(program: string, server: string, token: string, agents: number, seconds: number): void {
  const dir = mkdtempSync(join(tmpdir(), "guardian-sim-e2e-"));
  const many = ["--agents", String(agents), "--events", "50", "--seconds", String(seconds)];
  execFileSync(program, ["--dir", dir, "simulate", "--server", server, "--token", token, ...many], { stdio: "pipe" });
  rmSync(dir, { recursive: true, force: true });
}
