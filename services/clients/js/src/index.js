/**
 * Clients of the speech servers whose streams survive broken connections.
 *
 * `listen` opens a stream from speech to text, `speak` and `openSpeech` one from text to speech. When a connection breaks, or the server
 * behind it dies, they connect again by themselves: every word is delivered once, and no sample is missing or comes twice.
 *
 * A plain module for browsers and Node: nothing is to be built or installed. Where there is no global WebSocket (Node 20), give one.
 */

export { listen } from "./asr.js";
export { speak, openSpeech } from "./tts.js";
export { VoiceError } from "./errors.js";
