// The token: in this tab's session storage, which no other tab and no other site reads, and in no address.

const TOKEN_KEY = "pipeline-token";
// Where storage is switched off the token lives as long as the document.
let heldToken = "";

function readToken() {
  try {
    return sessionStorage.getItem(TOKEN_KEY) ?? heldToken;
  } catch {
    return heldToken;
  }
}

function keepToken(token) {
  heldToken = token;
  try {
    if (token) sessionStorage.setItem(TOKEN_KEY, token);
    else sessionStorage.removeItem(TOKEN_KEY);
  } catch {
    // Held above.
  }
  show(byId("forget-token"), token !== "");
}

function authorization() {
  const token = readToken();
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/** Ask for the token; `words` say what was wrong with one that was tried. */
function askForToken(words) {
  setNote(byId("token-problem"), words);
  setAttribute(byId("token"), "aria-invalid", words !== "");
  byId("token").value = "";
  byId("token").focus();
}

/** `retry` is called with a token that may be right. */
function watchTokenForm(retry) {
  show(byId("forget-token"), readToken() !== "");
  byId("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const token = byId("token").value.trim();
    // A header holds nothing else.
    if (!/^[\u0021-\u007e]+$/.test(token)) {
      askForToken(token ? "A token has letters, digits and signs of ASCII only." : "Enter the token.");
      return;
    }
    setNote(byId("token-problem"), "");
    keepToken(token);
    retry();
  });
  byId("forget-token").addEventListener("click", () => {
    keepToken("");
    announce("The token is forgotten.");
    retry();
  });
}
