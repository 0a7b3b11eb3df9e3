import { type HostEvent, numberOf, textOf } from "./data";

/** One process, as far as events tell of it. */
export interface ProcessNode {
  id: string;
  pid: number;
  /** Its newest event; none where it is known as somebody's parent alone. */
  event: HostEvent | null;
  image: string;
  command: string;
  user: string;
  started: string | null;
  ended: string | null;
  exitCode: number | null;
  signal: number | null;
  elevated: boolean;
  children: ProcessNode[];
  /** When something last happened to it or to those below it. */
  last: string;
}

function newNode(id: string, pid: number): ProcessNode {
  return {
    id,
    pid,
    event: null,
    image: "",
    command: "",
    user: "",
    started: null,
    ended: null,
    exitCode: null,
    signal: null,
    elevated: false,
    children: [],
    last: "",
  };
}

/** What an event tells of its process. */
function tell(node: ProcessNode, event: HostEvent): void {
  node.event = event;
  node.last = event.time;
  node.image = textOf(event, "image") || textOf(event, "name") || node.image;
  node.command = textOf(event, "command_line") || node.command;
  node.user = textOf(event, "user") || node.user;
  node.elevated ||= event.elevated === true;
  if (event.activity === "exec") node.started ??= event.time;
  if (event.activity === "exit") {
    node.ended = event.time;
    node.exitCode = numberOf(event, "exit_code");
    node.signal = numberOf(event, "signal");
  }
}

/** When a node or one below it last had an event, told upwards; the newest branch first. */
function settle(node: ProcessNode): string {
  for (const child of node.children) {
    const last = settle(child);
    if (last > node.last) node.last = last;
  }
  node.children.sort((a, b) => b.last.localeCompare(a.last));
  return node.last;
}

/**
 * Processes below their parents. A parent is the last process with that number that was there when the child began; one
 * that began before the first event is known by what its children tell. Numbers come round: a new beginning is a new
 * process.
 */
export function processTree(events: readonly HostEvent[]): ProcessNode[] {
  const inOrder = [...events].sort((a, b) => a.time.localeCompare(b.time) || a.batch - b.batch || a.row - b.row);
  const current = new Map<string, ProcessNode>();
  const roots: ProcessNode[] = [];
  const nameOf = (boot: string, pid: number) => `${boot}/${pid}`;
  for (const event of inOrder) {
    const pid = numberOf(event, "pid");
    if (pid === null) continue;
    const boot = textOf(event, "boot");
    const name = nameOf(boot, pid);
    const ticks = numberOf(event, "start_ticks");
    const known = current.get(name);
    const knownTicks = known?.event ? numberOf(known.event, "start_ticks") : null;
    const another =
      known?.event !== null &&
      known !== undefined &&
      (known.ended !== null
        ? event.activity !== "exit"
        : ticks !== null && knownTicks !== null && ticks !== knownTicks);
    if (known && !another) {
      tell(known, event);
      continue;
    }
    const node = newNode(`${name}/${ticks ?? `${event.batch}-${event.row}`}`, pid);
    tell(node, event);
    current.set(name, node);
    const parentPid = numberOf(event, "parent_pid");
    if (parentPid === null || parentPid === pid || parentPid === 0) {
      roots.push(node);
      continue;
    }
    const parentName = nameOf(boot, parentPid);
    let parent = current.get(parentName);
    if (!parent) {
      parent = newNode(`${parentName}/earlier`, parentPid);
      parent.image = textOf(event, "parent_image");
      parent.command = textOf(event, "parent_command_line");
      current.set(parentName, parent);
      roots.push(parent);
    }
    parent.children.push(node);
  }
  for (const root of roots) settle(root);
  return roots.sort((a, b) => b.last.localeCompare(a.last));
}

/** A line of the tree as it is drawn. */
export interface TreeRow {
  node: ProcessNode;
  depth: number;
  open: boolean;
}

/** Beyond this depth lines are not moved further to the right. */
const DEPTH_MAX = 40;
/** A branch with more below it begins closed. */
const OPEN_MAX = 12;

/** The lines in sight: what somebody turned stays turned, large branches begin closed. */
export function rowsOf(roots: readonly ProcessNode[], turned: ReadonlySet<string>): TreeRow[] {
  const rows: TreeRow[] = [];
  const walk = (node: ProcessNode, depth: number) => {
    const open = node.children.length > 0 && node.children.length <= OPEN_MAX !== turned.has(node.id);
    rows.push({ node, depth: Math.min(depth, DEPTH_MAX), open });
    if (open) for (const child of node.children) walk(child, depth + 1);
  };
  for (const root of roots) walk(root, 0);
  return rows;
}
