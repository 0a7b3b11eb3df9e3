import { catalogue, type Translate } from "@/i18n/text";

/** The parts of the program that write like people do. */
export const writerText = catalogue({
  correlation: ["Correlation", "Korrelation"],
  deadlines: ["Deadlines", "Fristen"],
});

/** Who did something: a part of the program by its name, people as they are called. */
export function writer(name: string, automatic: boolean, t: Translate<typeof writerText>): string {
  return automatic && name in writerText ? t(name as keyof typeof writerText) : name;
}
