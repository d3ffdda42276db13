// The documents of a batch, or of the list, as they change: streamed, or asked for where no stream comes through.
// Not by EventSource, which can send no Authorization.

// The server says something every 5 s at least.
const SILENCE = 9000;
const POLL_PAUSE = 2000;
const REOPEN_PAUSE = 500;
const LONGEST_PAUSE = 30000;
const FINAL = new Set([400, 401, 403, 404]);

/** Wait, or less where `signal` says so. */
function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => resolve(clearTimeout(timer)), { once: true });
  });
}

/** Twice as long each time, of which half is chance: many pages do not come back at the same moment. */
function backoff(failures) {
  return Math.min(LONGEST_PAUSE, 500 * 2 ** failures) * (0.5 + Math.random() / 2);
}

/** Events of a stream (HTML Standard, Server-sent events): objects with `id`, `event` and `data`, or with a `comment`. */
async function* eventsOf(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let fields = {};
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    heard();
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

/** Aborts its signal when nothing is heard for too long. */
class Patience {
  #abort = new AbortController();
  #timer = 0;
  heardAnything = false;

  constructor() {
    this.#wait();
  }

  get signal() {
    return this.#abort.signal;
  }

  heard() {
    this.heardAnything = true;
    this.#wait();
  }

  end() {
    clearTimeout(this.#timer);
    this.#abort.abort();
  }

  #wait() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#abort.abort(), SILENCE);
  }
}

/**
 * Follows what `query` names. Tells its listener: `document(found)`, `refused(error)`, and `link(state)` where state is
 * live, polling, waiting, off (it has given up) or idle (the batch has ended).
 */
class Feed {
  #query;
  #listener;
  #running = null;
  #newest = "";
  #streams = true;
  #failures = 0;

  constructor(query, listener) {
    this.#query = query;
    this.#listener = listener;
  }

  stop() {
    this.#running?.abort();
    this.#running = null;
  }

  /** Begin, or go on after the newest document that came. */
  async start() {
    this.stop();
    const running = new AbortController();
    this.#running = running;
    this.#streams = true;
    while (!running.signal.aborted) {
      try {
        if (await (this.#streams ? this.#read(running.signal) : this.#poll(running.signal))) break;
      } catch (error) {
        if (running.signal.aborted) return;
        await this.#refused(error, running.signal);
        if (FINAL.has(error.status)) return;
      }
    }
    if (!running.signal.aborted) this.#listener.link("idle");
  }

  async #refused(error, signal) {
    const refusal = error instanceof Refusal ? error : new Refusal(0, "The connection broke off.");
    this.#failures += 1;
    this.#listener.link(FINAL.has(refusal.status) ? "off" : "waiting");
    // One that breaks off now and then is no news.
    if (refusal.status || this.#failures > 1) this.#listener.refused(refusal);
    if (FINAL.has(refusal.status)) return;
    await pause(Math.max(backoff(this.#failures), 1000 * Math.min(refusal.retryAfter, 30)), signal);
  }

  /** Read one stream to its end; says whether that is the end of all. */
  async #read(outer) {
    const patience = new Patience();
    try {
      const ended = await this.#readWith(patience, AbortSignal.any([outer, patience.signal]));
      if (!ended && this.#streams) await pause(REOPEN_PAUSE, outer);
      return ended;
    } catch (error) {
      if (outer.aborted || patience.heardAnything || !patience.signal.aborted) throw error;
      // Something on the way keeps the stream until it is whole.
      this.#streams = false;
      return false;
    } finally {
      patience.end();
    }
  }

  async #readWith(patience, signal) {
    const headers = this.#newest ? { "Last-Event-ID": this.#newest } : {};
    const asked = { method: "GET", accept: "text/event-stream", headers, signal };
    const response = await call("status", this.#query, asked);
    if (!(response.headers.get("Content-Type") ?? "").startsWith("text/event-stream")) {
      this.#streams = false;
      return this.#take(documentOf(await response.text()), "polling");
    }
    for await (const found of eventsOf(response.body, () => patience.heard())) {
      if (this.#takeEvent(found)) return true;
    }
    if (!patience.heardAnything) throw new Refusal(0, "The stream ended without a word.");
    return false;
  }

  #takeEvent({ id, event, data, comment }) {
    if (comment !== undefined) this.#alive("live");
    if (event === "error") throw new Refusal(503, shown(documentOf(data).error ?? "The stream broke off."));
    if (event === "end") return true;
    if (id) this.#newest = id;
    if (event === "status") this.#take(documentOf(data), "live");
    return false;
  }

  async #poll(signal) {
    const found = await callForDocument("status", this.#query, { method: "GET", signal });
    if (this.#take(found, "polling")) return true;
    await pause(POLL_PAUSE, signal);
    return false;
  }

  /** Says whether the batch has ended, and all are told. */
  #take(found, link) {
    this.#alive(link);
    this.#listener.document(found);
    return isOver(found);
  }

  #alive(link) {
    this.#failures = 0;
    this.#listener.link(link);
  }
}
