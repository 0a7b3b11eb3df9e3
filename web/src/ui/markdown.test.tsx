import { render, screen } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { anchor, Markdown } from "./markdown";

describe("Markdown", () => {
  it("shows HTML as text and never follows a script link", () => {
    const { container } = render(
      <Markdown text={'<img src=x onerror="alert(1)"> [click](javascript:alert(1)) **bold** `a<b`'} />,
    );
    expect(container.querySelector("img")).toBeNull();
    expect(container.querySelector("a")).toBeNull();
    expect(screen.getByText("bold").tagName).toBe("STRONG");
    expect(screen.getByText("a<b").tagName).toBe("CODE");
  });

  it("makes the anchors that links between documents use", () => {
    expect(anchor("A taken port, or two")).toBe("a-taken-port-or-two");
  });

  it("draws tables and lists", () => {
    render(<Markdown text={"| a | b |\n|---|---|\n| 1 | 2 |\n\n- one\n- two\n"} />);
    expect(screen.getAllByRole("row")).toHaveLength(2);
    expect(screen.getAllByRole("listitem")).toHaveLength(2);
  });
});
