// Sets theme, density and language before the first paint. A file of its own, because the content security policy
// refuses scripts inside the page.
(() => {
  let stored = {};
  try {
    stored = JSON.parse(localStorage.getItem("guardian.kept") || "{}").values?.preferences || {};
  } catch {
    stored = {};
  }
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const theme = stored.theme === "dark" || stored.theme === "light" ? stored.theme : dark ? "dark" : "light";
  const root = document.documentElement;
  root.dataset.theme = theme;
  root.dataset.density = stored.density === "compact" ? "compact" : "comfortable";
  root.lang = stored.language === "de" || stored.language === "en" ? stored.language : navigator.language.startsWith("de") ? "de" : "en";
})();
