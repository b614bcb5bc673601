// The types of noren.js.

export as namespace noren;

/** A message of a channel, as the hub tells it. */
export interface Message<T = unknown> {
  /** `<epoch>:<offset>`, in one order over all channels. */
  id: string;
  channel: string;
  event?: string;
  key?: string;
  /** A string, any JSON value, or a `Uint8Array` when bytes were published. */
  data: T;
  /** Milliseconds since 1970. */
  time: number;
}

/** There is a gap before what follows: fetch the page's state anew. */
export interface Reset {
  reason: "expired" | "restarted" | "slow" | string;
}

export type Handler<T = any> = (data: T, message: Message<T>) => void;

/**
 * By event name. `message` hears those without an event, `*` every message, `reset` of gaps. No publisher can choose
 * the names of the hub's own signals: `*`, `reset`, `keep-alive`, `open`, `error`, `presence`, `noren:…`.
 */
export interface Handlers {
  reset?: (data: Reset, details: { id: string }) => void;
  [event: string]: Handler | ((data: Reset, details: { id: string }) => void) | undefined;
}

export interface SubscribeOptions {
  /** Only messages with this key. */
  key?: string;
  /** Stays when `clear()` is called. Default: false. */
  persist?: boolean;
  /** What came after this id first, or `"earliest"`: all of the history. Default: from now on. */
  lastEventId?: string;
}

export interface Subscription {
  readonly channel: string;
  readonly persist: boolean;
  /** The id of the last message heard, to resume from. */
  readonly lastEventId?: string;
  /** Fulfilled when the channel is heard: what is published from then on arrives. */
  readonly ready: Promise<void>;
  close(): void;
}

export type State = "connecting" | "open" | "retrying" | "closed";
export type Transport = "websocket" | "sse" | "poll";

export interface Report {
  state: State;
  transport?: Transport;
  channels: string[];
  /** In `retrying`: milliseconds to the next attempt. */
  pause?: number;
  /** In `closed`: 4401 when the session has ended, or the HTTP status of the refusal. */
  status?: number;
}

export interface Sent {
  status: number;
  id?: string;
}

export interface Connection {
  readonly url: string;
  readonly state: State;
  readonly transport?: Transport;
  /** Whether this tab has the connection which all tabs share. */
  readonly leads: boolean;
  /** A function alone hears every message. Throws a `TypeError` when the channel is no name. */
  subscribe(channel: string, handlers: Handlers | Handler, options?: SubscribeOptions): Subscription;
  /** With an `id` of your own a second try is harmless. Rejects with an error that has a `status`, 0 when the connection was lost before the answer. */
  send(channel: string, data: unknown, options?: { event?: string; key?: string; id?: string }): Promise<Sent>;
  /** Gives the function that takes the listener back. */
  on(name: "state", listener: (state: State, report: Report) => void): () => void;
  on(name: "error", listener: (refused: { channel: string; status: number }) => void): () => void;
  /** Closes every subscription but the persistent ones. */
  clear(): void;
  close(): void;
}

export interface ConnectOptions {
  /** One connection for all tabs of the browser. Default: true. */
  shared?: boolean;
  /** Which to try, the best first. */
  transports?: Transport[];
}

export interface WokOptions {
  /** Default: `wok`. */
  channel?: string;
  url?: string;
  connection?: Connection;
  /** What gets `addNotificationListener`. Default: the global `wok`. */
  target?: object;
}

/** The connection to the hub at `url`, `/events` by default. Without options the same one each time. */
export function connect(url?: string, options?: ConnectOptions): Connection;
/** Gives a page written for Wok its `wok.addNotificationListener(message, function, persist)`. */
export function wok(options?: WokOptions): Subscription;
export const subscribe: Connection["subscribe"];
export const send: Connection["send"];
export const on: Connection["on"];
export function clear(): void;
