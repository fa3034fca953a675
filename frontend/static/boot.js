// Applies the chosen theme before the first paint of the app, then starts the wasm module.
// Refuses everything else: the application itself is Rust.
try {
  const theme = localStorage.getItem("persguard.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage is blocked: the system's theme applies.
}

import("/frontend.js")
  .then((module) => module.default({ module_or_path: "/frontend_bg.wasm" }))
  .catch((error) => {
    const message = document.getElementById("boot-message");
    if (message) message.textContent = `PersGuard could not start: ${error.message}. Reload the page; if it stays, update your browser.`;
  });
