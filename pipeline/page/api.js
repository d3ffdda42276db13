// Calls to the function that served this page, at the page's own address, so that a gateway's prefix is kept.

/** An error of a call, with the server's text. `status` is 0 if there was no answer. */
class CallError extends Error {
  constructor(status, message, retryAfter = 0) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** This page's address with another query. It is not built from text, since a path may begin with two slashes. */
function addressWith(query) {
  const url = new URL(location.href);
  url.hash = "";
  url.search = new URLSearchParams(query).toString();
  return url;
}

/**
 * Call the function in a mode and return its answer; throws CallError.
 *
 * The header X-Mode keeps other sites from calling in a visitor's name: a browser sends a custom header to another
 * origin only if that origin agrees (Fetch Standard, CORS preflight), and the function never does. A form or a link
 * cannot send it.
 */
async function call(mode, query, { method = "POST", accept = "application/json", headers = {}, signal } = {}) {
  const allHeaders = { Accept: accept, "X-Mode": mode, ...authorization(), ...headers };
  let response;
  try {
    const options = { method, headers: allHeaders, signal, cache: "no-store", redirect: "error" };
    response = await fetch(addressWith(query), options);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new CallError(0, "The server cannot be reached.");
  }
  if (!response.ok) throw await errorOf(response);
  return response;
}

async function callForDocument(mode, query, options) {
  const response = await call(mode, query, options);
  return parseDocument(await response.text());
}

function parseDocument(text) {
  try {
    const value = JSON.parse(text);
    if (value !== null && typeof value === "object") return value;
  } catch {
    // Reported below, like JSON that is no document.
  }
  throw new CallError(0, `The answer is not understood: ${text.slice(0, 200) || "it is empty"}`);
}

async function errorOf(response) {
  const text = await response.text().catch(() => "");
  const retryAfter = Number(response.headers.get("Retry-After")) || 0;
  let message = text.slice(0, 300).trim() || response.statusText;
  try {
    const { error, problems } = JSON.parse(text);
    if (typeof error === "string") message = [error, ...(Array.isArray(problems) ? problems : [])].join("\n");
  } catch {
    // The answer comes from a gateway, not from the function: show its text.
  }
  return new CallError(response.status, `${response.status}: ${message}`, retryAfter);
}
