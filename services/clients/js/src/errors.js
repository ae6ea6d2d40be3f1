/** Why a stream is over though it was not finished, and how connections end. */

/** Its `code` is that of the server (`UNKNOWN_VOICE`), or `IMPOSSIBLE`, `GAVE_UP`, `PROTOCOL`, `OVER`. */
export class VoiceError extends Error {
  constructor(code, message) {
    super(`${code}: ${message}`);
    this.name = "VoiceError";
    this.code = code;
  }
}

// What another instance, or the same one later, may answer differently. A list of what passes, so that a code that is new does not make
// clients call again and again.
export const PASSING = new Set([
  "DRAINING", "AT_CAPACITY", "OVERLOADED", "NOT_READY", "SLOW_CONSUMER", "IDLE_TIMEOUT", "INTERNAL", "STORAGE_FAILED", "TIMEOUT",
]);
const LAST_CLOSES = new Set([1002, 1003, 1007, 1008, 1009, 1010]);

/** How a connection ended, or why there is none. With `final`, the error that any other attempt would end with too. */
export class Break extends Error {
  constructor(what, { final = null, retryAfter = 0 } = {}) {
    super(what);
    this.final = final;
    this.retryAfter = retryAfter;
  }

  /** The upgrade was answered with something else. Browsers do not tell; `ws` does. */
  static refused(status, code, message, retryAfter) {
    const passes = status >= 500 || [408, 425, 429].includes(status);
    return new Break(`answered ${status} ${code}: ${message}`, { final: passes ? null : new VoiceError(code, message), retryAfter });
  }

  /** The server said why it would close, or could not do what was asked. */
  static said(code, message) {
    return new Break(`${code}: ${message}`, { final: PASSING.has(code) ? null : new VoiceError(code, message) });
  }

  /** The connection was closed with this code. */
  static closed(code, reason) {
    return new Break(`closed with ${code} ${reason}`, { final: LAST_CLOSES.has(code) ? new VoiceError(`CLOSED_${code}`, reason) : null });
  }

  /** The server said what it may not. */
  static protocol(what) {
    return new Break(what, { final: new VoiceError("PROTOCOL", what) });
  }
}

/** A message from a text frame. */
export function read(text) {
  let message;
  try {
    message = JSON.parse(text);
  } catch (error) {
    throw Break.protocol(`${error.message}: ${text.slice(0, 200)}`);
  }
  if (typeof message?.type !== "string") {
    throw Break.protocol(`a message has no \`type\`: ${text.slice(0, 200)}`);
  }
  return message;
}

/** A number that has to be there. */
export function number(message, key) {
  if (typeof message[key] !== "number") {
    throw Break.protocol(`\`${message.type}\` has no ${key}`);
  }
  return message[key];
}
