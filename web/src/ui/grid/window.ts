import { type RefObject, useEffect, useState } from "react";

/** Rows drawn beyond the visible ones, so that fast scrolling shows no gaps. */
const OVERSCAN = 12;
/** The window moves in steps, so that most scroll events draw nothing. */
const STEP = 4;

/** The rows in sight. */
export interface Window {
  first: number;
  /** One past the last. */
  end: number;
}

/** The window over rows of one height; constant work, however many rows there are. */
export function windowOf(scrolled: number, seen: number, height: number, count: number): Window {
  const top = Math.floor(scrolled / height / STEP) * STEP;
  const shown = Math.ceil(seen / height) + STEP;
  return { first: Math.max(0, Math.min(top, count) - OVERSCAN), end: Math.min(count, top + shown + OVERSCAN) };
}

/** Follows the scrolling and the size of a box. */
export function useWindow(box: RefObject<HTMLElement | null>, height: number, count: number): Window {
  const [range, setRange] = useState<Window>(() => windowOf(0, 0, height, count));
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const follow = () => {
      const next = windowOf(element.scrollTop, element.clientHeight, height, count);
      setRange((before) => (before.first === next.first && before.end === next.end ? before : next));
    };
    follow();
    element.addEventListener("scroll", follow, { passive: true });
    const observer = typeof ResizeObserver === "undefined" ? null : new ResizeObserver(follow);
    observer?.observe(element);
    return () => {
      element.removeEventListener("scroll", follow);
      observer?.disconnect();
    };
  }, [box, height, count]);
  // Rows may have gone since the window was taken.
  return range.end > count ? windowOf(0, 0, height, count) : range;
}
