// The token. It stays in this tab's session storage, which no other tab or site can read, and never in an address.

const TOKEN_KEY = "pipeline-token";
// If storage is switched off, the token lives as long as the document.
let tokenInMemory = "";

function readToken() {
  try {
    return sessionStorage.getItem(TOKEN_KEY) ?? tokenInMemory;
  } catch {
    return tokenInMemory;
  }
}

function storeToken(token) {
  tokenInMemory = token;
  try {
    if (token) sessionStorage.setItem(TOKEN_KEY, token);
    else sessionStorage.removeItem(TOKEN_KEY);
  } catch {
    // It is in memory.
  }
  setVisible(byId("forget-token"), token !== "");
}

function authorization() {
  const token = readToken();
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/** Ask for the token; `problem` tells what was wrong with the last one. */
function askForToken(problem) {
  setNote(byId("token-problem"), problem);
  setAttribute(byId("token"), "aria-invalid", problem !== "");
  byId("token").value = "";
  byId("token").focus();
}

/** Connect the form and the button; `retry` is called once the token has changed. */
function bindTokenForm(retry) {
  setVisible(byId("forget-token"), readToken() !== "");
  byId("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const token = byId("token").value.trim();
    // A header can hold no other characters.
    if (!/^[\u0021-\u007e]+$/.test(token)) {
      askForToken(token ? "A token has only letters, digits and signs of ASCII." : "Enter the token.");
      return;
    }
    setNote(byId("token-problem"), "");
    storeToken(token);
    retry();
  });
  byId("forget-token").addEventListener("click", () => {
    storeToken("");
    announce("The token is forgotten.");
    retry();
  });
}
