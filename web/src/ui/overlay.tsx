import { Dialog as Base } from "@base-ui/react/dialog";
import { X } from "lucide-react";
import { type ReactNode, useState } from "react";
import { useText } from "@/app/preferences";
import { Button, IconButton } from "./button";
import { classes } from "./classes";
import { text } from "./strings";

interface DialogProps {
  open: boolean;
  onClose: () => void;
  title: string;
  description?: ReactNode;
  children?: ReactNode;
  footer?: ReactNode;
  wide?: boolean;
  /** A sheet at the right edge instead of a box in the middle. */
  sheet?: boolean;
}

export function Dialog({ open, onClose, title, description, children, footer, wide, sheet }: DialogProps) {
  const t = useText(text);
  const shape = sheet
    ? "inset-y-0 right-0 h-full w-full max-w-xl border-l"
    : classes(
        "left-1/2 top-1/2 -translate-x-1/2 -translate-y-1/2 w-[calc(100vw-24px)] max-h-[calc(100dvh-32px)] rounded-box border",
        wide ? "max-w-3xl" : "max-w-lg",
      );
  return (
    <Base.Root open={open} onOpenChange={(next) => !next && onClose()}>
      <Base.Portal>
        <Base.Backdrop className="fixed inset-0 z-40 bg-scrim" />
        <Base.Popup
          className={classes("fixed z-40 flex flex-col border-line-strong bg-surface shadow-float outline-none", shape)}
        >
          <header className="flex items-start gap-3 border-b border-line px-5 py-4">
            <div className="min-w-0 flex-1">
              <Base.Title className="m-0 text-lg font-semibold">{title}</Base.Title>
              {description && (
                <Base.Description className="mt-1 text-sm text-text-2" render={<div />}>
                  {description}
                </Base.Description>
              )}
            </div>
            <IconButton label={t("close")} icon={X} onClick={onClose} />
          </header>
          <div className="min-h-0 flex-1 overflow-y-auto px-5 py-4">{children}</div>
          {footer && (
            <footer className="flex flex-wrap justify-end gap-2 border-t border-line px-5 py-3">{footer}</footer>
          )}
        </Base.Popup>
      </Base.Portal>
    </Base.Root>
  );
}

interface ConfirmProps {
  open: boolean;
  title: string;
  description: ReactNode;
  action: string;
  danger?: boolean;
  onClose: () => void;
  onConfirm: () => Promise<unknown> | unknown;
}

/** Asks before something that cannot be taken back. */
export function Confirm({ open, title, description, action, danger, onClose, onConfirm }: ConfirmProps) {
  const t = useText(text);
  const [busy, setBusy] = useState(false);
  const confirm = async () => {
    setBusy(true);
    try {
      await onConfirm();
      onClose();
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog
      open={open}
      onClose={onClose}
      title={title}
      footer={
        <>
          <Button onClick={onClose}>{t("cancel")}</Button>
          <Button look={danger ? "danger" : "primary"} busy={busy} onClick={confirm}>
            {action}
          </Button>
        </>
      }
    >
      <div className="text-sm text-text-2">{description}</div>
    </Dialog>
  );
}
