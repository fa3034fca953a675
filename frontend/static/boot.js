// Applies the chosen theme and language before the first paint of the app, asks for what the address needs, starts the
// wasm module.
// Refuses everything else: the application itself is Rust.
try {
  const theme = localStorage.getItem("persguard.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage is blocked: the system's theme applies.
}

// English is in the module; what others read lies in a file that only they fetch: beside the module, or once they
// choose it. The module is told where.
const LANGUAGES = {
  de: {
    catalogue: "/languages/de.json",
    loading: "PersGuard wird geladen …",
    failed: "PersGuard konnte nicht starten: {error}. Laden Sie die Seite neu; hilft das nicht, aktualisieren Sie Ihren Browser.",
  },
};
const chosen = /(?:^|; )persguard_language=([a-z]+)/.exec(document.cookie)?.[1];
const asked = chosen ? [chosen] : navigator.languages.map((tag) => tag.split("-")[0].toLowerCase());
const tag = asked.find((tag) => tag === "en" || Object.hasOwn(LANGUAGES, tag)) ?? "en";
const words = tag === "en" ? undefined : LANGUAGES[tag];
const message = document.getElementById("boot-message");
document.documentElement.lang = tag;
for (const [tag, { catalogue }] of Object.entries(LANGUAGES)) {
  document.head.append(Object.assign(document.createElement("meta"), { id: `catalogue-${tag}`, name: "catalogue", content: catalogue }));
}
if (words) {
  message.textContent = words.loading;
  const link = document.createElement("link");
  Object.assign(link, { rel: "preload", as: "fetch", href: words.catalogue, crossOrigin: "anonymous" });
  document.head.append(link);
}

// The files of every part beside the first; the build writes them here.
const files = "parts";
const parts = [
  ["start", /^\/(home|jobs|sets\/new)$/],
  ["work", /^\/(sets|jobs)\//],
  ["results", /^\/(galleries|studies)\//],
  ["desk", /^\/(account|device|models|nodes|storage)$/],
];
const part = parts.find(([, addresses]) => addresses.test(location.pathname));
for (const file of files[part?.[0]] ?? []) {
  // Into the cache, where the loader finds it: a preload that a visitor without an account never uses is warned of.
  fetch(file).then((answer) => answer.arrayBuffer()).catch(() => {});
}

import("/frontend.js")
  .then((module) => module.default({ module_or_path: "/frontend_bg.wasm" }))
  .catch((error) => {
    const failed = words?.failed ?? "PersGuard could not start: {error}. Reload the page; if it stays, update your browser.";
    if (message) message.textContent = failed.replace("{error}", error.message);
  });
