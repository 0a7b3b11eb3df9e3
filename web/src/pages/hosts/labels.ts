/** The labels of a text with commas, each once. */
export function labelsOf(typed: string): string[] {
  const labels = typed.split(",").map((label) => label.trim());
  return [...new Set(labels.filter(Boolean))];
}
