import { fireEvent, render, screen } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";
import type { Column } from "./column";
import { Grid } from "./grid";

interface Row {
  id: string;
  name: string;
}
const columns: Column<Row>[] = [{ id: "name", label: "Name", width: 100, sort: "name", cell: (row) => row.name }];

describe("the grid", () => {
  it("draws only what is in sight of a hundred thousand rows, and tells how many there are", () => {
    const rows = Array.from({ length: 100_000 }, (_, i) => ({ id: String(i), name: `row ${i}` }));
    render(<Grid label="Rows" columns={columns} rows={rows} rowId={(row) => row.id} />);
    expect(screen.getByRole("table", { name: "Rows" })).toHaveAttribute("aria-rowcount", "100001");
    expect(screen.queryAllByRole("row").length).toBeLessThan(100);
  });

  it("turns the order round at the second press", () => {
    const onSort = vi.fn();
    const { rerender } = render(
      <Grid label="Rows" columns={columns} rows={[]} rowId={(row) => row.id} onSort={onSort} />,
    );
    fireEvent.click(screen.getByRole("button", { name: "Name" }));
    expect(onSort).toHaveBeenLastCalledWith("name");
    rerender(<Grid label="Rows" columns={columns} rows={[]} rowId={(row) => row.id} onSort={onSort} sort="name" />);
    fireEvent.click(screen.getByRole("button", { name: /Name/ }));
    expect(onSort).toHaveBeenLastCalledWith("-name");
  });
});
