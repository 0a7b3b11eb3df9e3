import { yaml } from "@codemirror/lang-yaml";
export const yamlLanguage = yaml();
