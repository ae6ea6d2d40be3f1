/** What a core wants, done: connects, sends, listens, waits, and connects again. One connection at a time. */

import { Break, VoiceError } from "./errors.js";
import { PATIENCE, Retry } from "./retry.js";

// What may lie in a socket that is slow. The rest stays with the core, where it can be sent elsewhere.
const MAX_BUFFERED = 256 * 1024;
// How soon to look again whether a socket has room; sockets do not tell.
const LOOK_AGAIN = 20;
// How long after an error to wait for the `close` that follows it.
const CLOSE_FOLLOWS = 20;

export class Link {
  #core;
  #url;
  #Socket;
  #patience;
  #retry;
  #socket = null;
  #timers = new Set();
  #events = [];
  #waiting = [];
  #isOver = false;
  #error = null;
  #hasToldEnd = false;
  #resolve;
  #reject;

  constructor(core, url, { apiKey, patience, WebSocket = globalThis.WebSocket } = {}) {
    if (!/^wss?:\/\/[^/]/.test(url)) {
      throw new VoiceError("IMPOSSIBLE", `an address must begin with ws:// or wss://. Given: ${url}`);
    }
    if (typeof WebSocket !== "function") {
      throw new VoiceError("IMPOSSIBLE", "there is no WebSocket here; give one as the option `WebSocket`, for example that of `ws`");
    }
    const address = new URL(url);
    if (apiKey) {
      // Browsers cannot set headers on a WebSocket.
      address.searchParams.set("api_key", apiKey);
    }
    this.#core = core;
    this.#url = address.href;
    this.#Socket = WebSocket;
    this.#patience = { ...PATIENCE, ...patience };
    this.#retry = new Retry(this.#patience);
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Who does not ask does not miss it.
    this.result.catch(() => {});
    this.#connect();
  }

  // --- for the user's side ---

  /** There may be something to send. */
  wake() {
    this.#socket?.pump();
  }

  /** Waits until there is room for more; throws if there will be none. */
  async room() {
    while (!this.#isOver && !this.#core.hasRoom) {
      await new Promise((resolve) => this.#waiting.push(resolve));
    }
    if (this.#isOver) {
      throw new VoiceError("OVER", "the stream is over; its events, or the result of `finish`, tell how it ended");
    }
  }

  /** The next event, or null after the end. Throws the error that ended the stream, once. */
  async next() {
    while (this.#events.length === 0 && !this.#isOver) {
      await new Promise((resolve) => this.#waiting.push(resolve));
    }
    if (this.#events.length > 0) {
      return this.#events.shift();
    }
    const isNew = !this.#hasToldEnd;
    this.#hasToldEnd = true;
    if (isNew && this.#error) {
      throw this.#error;
    }
    return null;
  }

  /** All events that are still to come. */
  async *events() {
    for (let event = await this.next(); event !== null; event = await this.next()) {
      yield event;
    }
  }

  tell(events) {
    this.#events.push(...events);
    this.#wakeAll();
    if (this.#core.output !== null) {
      this.#end(null);
    }
  }

  /** Ends the stream where it is. */
  close() {
    this.#end(new VoiceError("OVER", "the stream was closed before it was finished"));
    this.#hasToldEnd = true;
  }

  // --- connections ---

  #wakeAll() {
    for (const waiting of this.#waiting.splice(0)) {
      waiting();
    }
  }

  #end(error) {
    if (this.#isOver) {
      return;
    }
    this.#isOver = true;
    this.#error = error;
    for (const timer of this.#timers) {
      clearTimeout(timer);
    }
    this.#socket?.leave();
    if (error) {
      this.#reject(error);
    } else {
      this.#resolve(this.#core.output);
    }
    this.#wakeAll();
  }

  #after(wait, what) {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      what();
    }, wait);
    this.#timers.add(timer);
    return () => {
      clearTimeout(timer);
      this.#timers.delete(timer);
    };
  }

  #broken(why, wasOpen, wasReadyFor) {
    this.#socket = null;
    if (this.#isOver) {
      return;
    }
    const [reason, events] = this.#core.broken(why);
    this.tell(events);
    if (this.#isOver) {
      return;
    }
    // What an earlier connection brought is no progress of an attempt that never became one.
    const hasAdvanced = wasOpen && this.#core.hasAdvanced;
    // Who has nothing to say outlives any number of restarts. A server that crashes in a loop is not ready for so long.
    if (hasAdvanced || wasReadyFor > this.#patience.longestWait) {
      this.#retry.progressed();
    }
    try {
      this.#after(this.#retry.after(reason, Math.random()), () => this.#connect());
    } catch (error) {
      this.#end(error);
    }
  }

  #connect() {
    const core = this.#core;
    const socket = new this.#Socket(this.#url);
    socket.binaryType = "arraybuffer";
    let isOpen = false;
    let isGone = false;
    let heardAt = Date.now();
    let readyAt = heardAt;
    let spokeAt = Date.now();
    let looksAgain = false;

    const gone = (why) => {
      if (isGone) {
        return;
      }
      isGone = true;
      stopWaiting();
      try {
        socket.close();
      } catch {
        // It never was open.
      }
      this.#broken(why, isOpen, heardAt - readyAt);
    };
    const heard = () => {
      heardAt = Date.now();
      if (core.keepalive() === null) {
        readyAt = heardAt;
      }
    };
    const pump = () => {
      while (isOpen && !isGone && !this.#isOver) {
        if (socket.bufferedAmount > MAX_BUFFERED) {
          if (!looksAgain) {
            looksAgain = true;
            this.#after(LOOK_AGAIN, () => {
              looksAgain = false;
              pump();
            });
          }
          return;
        }
        const outgoing = core.outgoing();
        if (outgoing === null) {
          return;
        }
        spokeAt = Date.now();
        socket.send(outgoing);
      }
    };
    const take = (data) => {
      heard();
      if (isGone || this.#isOver) {
        return;
      }
      try {
        this.tell(typeof data === "string" ? core.onText(data) : core.onBinary(data));
      } catch (error) {
        if (!(error instanceof Break)) {
          throw error;
        }
        gone(error);
        return;
      }
      pump();
    };
    // Beside connections that end there are those of which nothing is heard any more.
    const watch = () => {
      if (isGone || this.#isOver) {
        return;
      }
      const canPing = typeof socket.ping === "function";
      const now = Date.now();
      if ((canPing || core.isOwed) && now - heardAt >= this.#patience.silence) {
        gone(new Break("nothing was heard for too long"));
        return;
      }
      if (!canPing && !core.isOwed) {
        heardAt = now;
      }
      if (canPing) {
        socket.ping();
      }
      const keepalive = now - spokeAt >= core.keepaliveEvery ? core.keepalive() : null;
      if (keepalive !== null) {
        spokeAt = now;
        socket.send(keepalive);
      }
      stopWaiting = this.#after(Math.min(this.#patience.silence / 3, core.keepaliveEvery), watch);
    };
    let stopWaiting = this.#after(this.#patience.connect, () => gone(new Break("no connection in time")));

    socket.onopen = () => {
      if (isGone || this.#isOver) {
        return;
      }
      stopWaiting();
      isOpen = true;
      heardAt = readyAt = spokeAt = Date.now();
      core.connected();
      watch();
      pump();
    };
    socket.onmessage = ({ data }) => take(data);
    socket.onclose = ({ code, reason }) => {
      heard();
      gone(isOpen ? Break.closed(code, reason) : new Break(`cannot connect: ${code} ${reason}`));
    };
    // `close` follows at once, and says more; except in Node 20, where nothing follows an attempt that failed.
    socket.onerror = (event) => {
      const what = event?.message || "no reason was given";
      this.#after(CLOSE_FOLLOWS, () => gone(new Break(`${isOpen ? "the connection broke" : "cannot connect"}: ${what}`)));
    };
    if (typeof socket.on === "function") {
      // Only `ws` tells of these.
      socket.on("ping", () => (heardAt = Date.now()));
      socket.on("pong", () => (heardAt = Date.now()));
      socket.on("unexpected-response", (request, response) => refused(response).then(gone));
    }
    this.#socket = {
      pump,
      leave: () => {
        isGone = true;
        stopWaiting();
        try {
          socket.close(...(isOpen ? [1000] : []));
        } catch {
          // It never was open.
        }
      },
    };
  }
}

/** What an answer says that is no upgrade. Balancers answer in their own words. */
async function refused(response) {
  const status = response.statusCode;
  let error = {};
  try {
    let body = "";
    for await (const part of response) {
      body += part;
    }
    error = JSON.parse(body).error ?? {};
  } catch {
    // Not ours.
  }
  const retryAfter = 1000 * Math.max(Number(response.headers["retry-after"]) || 0, 0);
  return Break.refused(status, error.code ?? `HTTP ${status}`, error.message ?? "no reason was given", retryAfter);
}
