// The question before an action that cannot be undone.

/** Ask in a modal dialog; resolves to true for yes. Escape means no. */
function confirmAction(title, text, yes) {
  const dialog = byId("confirm");
  setText(byId("confirm-title"), title);
  setText(byId("confirm-text"), text);
  setText(byId("confirm-yes"), yes);
  return new Promise((resolve) => {
    const listeners = new AbortController();
    const close = (isConfirmed) => {
      listeners.abort();
      dialog.close();
      resolve(isConfirmed);
    };
    byId("confirm-yes").addEventListener("click", () => close(true), { signal: listeners.signal });
    byId("confirm-no").addEventListener("click", () => close(false), { signal: listeners.signal });
    dialog.addEventListener("close", () => close(false), { signal: listeners.signal });
    dialog.showModal();
  });
}
