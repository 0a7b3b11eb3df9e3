/** The question "is it still you?", asked by whatever was refused for want of a fresh proof. */
type Answer = (proven: boolean) => void;

let waiting: Answer | null = null;
const watchers = new Set<() => void>();

function tell(): void {
  for (const wake of watchers) wake();
}

export function askProof(): Promise<boolean> {
  waiting?.(false);
  return new Promise((answer) => {
    waiting = answer;
    tell();
  });
}

export function answerProof(proven: boolean): void {
  waiting?.(proven);
  waiting = null;
  tell();
}

export const proofStore = {
  subscribe: (wake: () => void) => {
    watchers.add(wake);
    return () => watchers.delete(wake);
  },
  asked: () => waiting !== null,
};
