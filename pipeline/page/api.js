// Calls of the function that served this page, at the very address it was opened at, whatever the gateway's prefix.

/** What the server refuses, in its words. `status` is 0 where no answer came at all. */
class Refusal extends Error {
  constructor(status, message, retryAfter = 0) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** This page's address with another query; never put together from text, since a path may begin with two slashes. */
function addressOf(query) {
  const url = new URL(location.href);
  url.hash = "";
  url.search = new URLSearchParams(query).toString();
  return url;
}

/**
 * Call the function in a mode and return its answer; throws Refusal.
 *
 * X-Mode is what keeps other sites from calling in a visitor's name: a browser sends a header of its own making to
 * another origin only after that has agreed (Fetch Standard, CORS-preflight), and the function agrees to nothing. A form
 * or a link cannot carry it.
 */
async function call(mode, query, { method = "POST", accept = "application/json", headers = {}, signal } = {}) {
  const sent = { Accept: accept, "X-Mode": mode, ...authorization(), ...headers };
  let response;
  try {
    response = await fetch(addressOf(query), { method, headers: sent, signal, cache: "no-store", redirect: "error" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refusal(0, "The server cannot be reached.");
  }
  if (!response.ok) throw await refusalOf(response);
  return response;
}

async function callForDocument(mode, query, options) {
  const response = await call(mode, query, options);
  return documentOf(await response.text());
}

function documentOf(text) {
  try {
    const found = JSON.parse(text);
    if (found !== null && typeof found === "object") return found;
  } catch {
    // Said below: a gateway's own page is as little understood as half a document.
  }
  throw new Refusal(0, `The answer is not understood: ${text.slice(0, 200) || "it is empty"}`);
}

async function refusalOf(response) {
  const text = await response.text().catch(() => "");
  const retryAfter = Number(response.headers.get("Retry-After")) || 0;
  let words = text.slice(0, 300).trim() || response.statusText;
  try {
    const { error, problems } = JSON.parse(text);
    if (typeof error === "string") words = [error, ...(Array.isArray(problems) ? problems : [])].join("\n");
  } catch {
    // Not the function's own answer but a gateway's: its text is all there is.
  }
  return new Refusal(response.status, `${response.status}: ${words}`, retryAfter);
}
