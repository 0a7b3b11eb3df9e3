import { usePreferences, useText } from "@/app/preferences";
import type { Making } from "@/ui/grid/export-menu";
import { text } from "@/ui/strings";
import { fetchFile } from "./fetch-file";
import { useCan } from "./session";

/** A file that the server makes. */
interface Paper {
  label: string;
  path: string;
  /** Asked when it is made: a range that ends now ends then. */
  query: () => Record<string, string>;
  /** The name of the file; `.pdf` tells that it is on paper. */
  file: string;
}

/**
 * Files of the server as entries of a menu, in the person's language. In a PDF nothing can be masked, so that it is
 * refused to whoever sees pseudonyms, before the server has to.
 */
export function usePaper(): (paper: Paper) => Making {
  const t = useText(text);
  const { language } = usePreferences().preferences;
  const personal = useCan("personal:read");
  return ({ label, path, query, file }) => {
    const pdf = file.endsWith(".pdf");
    return {
      label,
      refused: pdf && !personal ? t("pdfRefused") : undefined,
      run: async (_, signal) => {
        const asked = new URLSearchParams({ ...query(), ...(pdf ? { language } : {}) });
        await fetchFile(`${path}?${asked}`, file, { signal });
        return t("fileMade");
      },
    };
  };
}
