// Applies the chosen theme before the first paint of the app, asks for what the address needs, starts the wasm module.
// Refuses everything else: the application itself is Rust.
try {
  const theme = localStorage.getItem("persguard.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage is blocked: the system's theme applies.
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
    const message = document.getElementById("boot-message");
    if (message) message.textContent = `PersGuard could not start: ${error.message}. Reload the page; if it stays, update your browser.`;
  });
