// Questions before what cannot be taken back.

/** Ask in a modal dialog; resolves to whether the answer was yes. Escape is no. */
function confirmed(title, text, yes) {
  const dialog = byId("confirm");
  setText(byId("confirm-title"), title);
  setText(byId("confirm-text"), text);
  setText(byId("confirm-yes"), yes);
  return new Promise((resolve) => {
    const answer = new AbortController();
    const close = (said) => {
      answer.abort();
      dialog.close();
      resolve(said);
    };
    byId("confirm-yes").addEventListener("click", () => close(true), { signal: answer.signal });
    byId("confirm-no").addEventListener("click", () => close(false), { signal: answer.signal });
    dialog.addEventListener("close", () => close(false), { signal: answer.signal });
    dialog.showModal();
  });
}
