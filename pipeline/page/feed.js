// The documents of a batch or of the list, as they change: streamed, or polled where no stream gets through.
// It does not use EventSource, which cannot send the header Authorization.

// In milliseconds; the server sends at least a comment every 5 s.
const LONGEST_SILENCE = 9000;
const POLL_PAUSE = 2000;
const REOPEN_PAUSE = 500;
const LONGEST_PAUSE = 30000;
const FINAL_STATUSES = new Set([400, 401, 403, 404]);

/** Wait, until `signal` aborts at the latest. */
function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => resolve(clearTimeout(timer)), { once: true });
  });
}

/** Twice as long each time, and half of it random, so that many pages do not return at the same moment. */
function backoff(failures) {
  return Math.min(LONGEST_PAUSE, 500 * 2 ** failures) * (0.5 + Math.random() / 2);
}

/** Yield the server-sent events of a stream (HTML Standard): `id`, `event` and `data`, or a `comment`. */
async function* readEvents(body, onData) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let fields = {};
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    onData();
    // A \r at the end may be half of a \r\n.
    const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    for (const line of lines) {
      const [, name, text] = /^([^:]*):? ?(.*)$/s.exec(line);
      if (line === "") {
        if ("data" in fields) yield fields;
        fields = {};
      } else if (name === "") yield { comment: text };
      else fields[name] = name === "data" && "data" in fields ? `${fields.data}\n${text}` : text;
    }
  }
}

/** Aborts its signal after too long a silence. */
class SilenceTimer {
  #abort = new AbortController();
  #timer = 0;
  hasHeard = false;

  constructor() {
    this.#wait();
  }

  get signal() {
    return this.#abort.signal;
  }

  restart() {
    this.hasHeard = true;
    this.#wait();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#abort.abort();
  }

  #wait() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#abort.abort(), LONGEST_SILENCE);
  }
}

/**
 * Follows the batch that `query` names, or the list. It calls `onDocument(document)`, `onError(error)` and
 * `onConnection(state)` of its listener. A state is live, polling, waiting, off (given up) or idle (the batch has
 * ended).
 */
class Feed {
  #query;
  #listener;
  #abort = null;
  #lastEventId = "";
  #isStreaming = true;
  #failures = 0;

  constructor(query, listener) {
    this.#query = query;
    this.#listener = listener;
  }

  stop() {
    this.#abort?.abort();
    this.#abort = null;
  }

  /** Start, or continue after the last document. */
  async start() {
    this.stop();
    const controller = new AbortController();
    this.#abort = controller;
    this.#isStreaming = true;
    while (!controller.signal.aborted) {
      try {
        if (await (this.#isStreaming ? this.#readStream(controller.signal) : this.#poll(controller.signal))) break;
      } catch (error) {
        if (controller.signal.aborted) return;
        await this.#handleError(error, controller.signal);
        if (FINAL_STATUSES.has(error.status)) return;
      }
    }
    if (!controller.signal.aborted) this.#listener.onConnection("idle");
  }

  async #handleError(error, signal) {
    const callError = error instanceof CallError ? error : new CallError(0, "The connection broke off.");
    this.#failures += 1;
    this.#listener.onConnection(FINAL_STATUSES.has(callError.status) ? "off" : "waiting");
    // A single break of the connection is not reported.
    if (callError.status || this.#failures > 1) this.#listener.onError(callError);
    if (FINAL_STATUSES.has(callError.status)) return;
    await pause(Math.max(backoff(this.#failures), 1000 * Math.min(callError.retryAfter, 30)), signal);
  }

  /** Read one stream to its end; returns whether no document will follow. */
  async #readStream(outer) {
    const silence = new SilenceTimer();
    try {
      const ended = await this.#readEventsOf(silence, AbortSignal.any([outer, silence.signal]));
      if (!ended && this.#isStreaming) await pause(REOPEN_PAUSE, outer);
      return ended;
    } catch (error) {
      if (outer.aborted || silence.hasHeard || !silence.signal.aborted) throw error;
      // A proxy on the way buffers the stream.
      this.#isStreaming = false;
      return false;
    } finally {
      silence.stop();
    }
  }

  async #readEventsOf(silence, signal) {
    const headers = this.#lastEventId ? { "Last-Event-ID": this.#lastEventId } : {};
    const options = { method: "GET", accept: "text/event-stream", headers, signal };
    const response = await call("status", this.#query, options);
    if (!(response.headers.get("Content-Type") ?? "").startsWith("text/event-stream")) {
      this.#isStreaming = false;
      return this.#handleDocument(parseDocument(await response.text()), "polling");
    }
    for await (const event of readEvents(response.body, () => silence.restart())) {
      if (this.#handleEvent(event)) return true;
    }
    if (!silence.hasHeard) throw new CallError(0, "The stream ended without any data.");
    return false;
  }

  #handleEvent({ id, event, data, comment }) {
    if (comment !== undefined) this.#noteAlive("live");
    if (event === "error") throw new CallError(503, displayText(parseDocument(data).error ?? "The stream broke off."));
    if (event === "end") return true;
    if (id) this.#lastEventId = id;
    if (event === "status") this.#handleDocument(parseDocument(data), "live");
    return false;
  }

  async #poll(signal) {
    const answer = await callForDocument("status", this.#query, { method: "GET", signal });
    if (this.#handleDocument(answer, "polling")) return true;
    await pause(POLL_PAUSE, signal);
    return false;
  }

  /** Pass on a document; returns whether no other will follow. */
  #handleDocument(answer, connection) {
    this.#noteAlive(connection);
    this.#listener.onDocument(answer);
    return isFinal(answer);
  }

  #noteAlive(connection) {
    this.#failures = 0;
    this.#listener.onConnection(connection);
  }
}
