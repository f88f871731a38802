// One gRPC stream to a node, over Node's own HTTP/2.
//
// A gRPC library was measured and left out: it takes one message at a time, which costs half as
// much again for a whole call. Here all that leaves in one turn is one write.

import { type ClientHttp2Session, type ClientHttp2Stream, type IncomingHttpHeaders, type IncomingHttpStatusHeader, connect, constants } from "node:http2";

import { BadFrame, FRAME_BYTES_MAX, NO_BYTES } from "./transfer.js";

/** Why a link ended. `code` is the gRPC status of a node that refused. */
export class LinkEnd extends Error {
  constructor(
    readonly kind: "dial" | "refused" | "broken" | "closed" | "silent" | "protocol",
    message: string,
    readonly code?: number,
  ) {
    super(message);
  }
}

/** The sending half of a link. */
export interface Transport {
  /** Writes frames as they are; `false` when no more should come before `drained`. */
  write(frames: Uint8Array[]): boolean;
  /** Says that nothing more comes. */
  end(): void;
  /** Lets go of the connection. */
  destroy(): void;
}

/** What happens on a link, told in order; `ended` is the last, and comes once. */
export interface Listener {
  frame(bytes: Uint8Array): void;
  drained(): void;
  ended(end: LinkEnd): void;
}

/** How a node is reached. */
export type Dial = (hub: string, bearer: string | undefined, listener: Listener) => Transport;

/** Of a gRPC message: whether it is compressed, and its length. */
const PREFIX_BYTES = 5;
/** Large enough that the calls a node may have out fill less than half of it. */
const WINDOW_BYTES = 2 << 20;

/** Cuts a stream of bytes into the messages of gRPC. Holds less than one message and one chunk. */
export class Deframer {
  private rest: Buffer = NO_BYTES;

  take(chunk: Buffer, each: (message: Uint8Array) => void): void {
    const bytes = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    let at = 0;
    while (bytes.length - at >= PREFIX_BYTES) {
      const length = bytes.readUInt32BE(at + 1);
      if (bytes[at] !== 0) throw new BadFrame("a compressed frame");
      if (length > FRAME_BYTES_MAX) throw new BadFrame(`a frame of ${length} bytes`);
      if (bytes.length - at - PREFIX_BYTES < length) break;
      at += PREFIX_BYTES + length;
      each(bytes.subarray(at - length, at));
    }
    // A copy, so that a small rest does not hold on to a large chunk.
    this.rest = at === bytes.length ? NO_BYTES : Buffer.from(bytes.subarray(at));
  }
}

/** Puts frames one behind the other, each with its prefix. */
export function enframe(frames: Uint8Array[]): Buffer {
  let length = 0;
  for (const frame of frames) length += PREFIX_BYTES + frame.length;
  const bytes = Buffer.allocUnsafe(length);
  let at = 0;
  for (const frame of frames) {
    bytes[at] = 0;
    bytes.writeUInt32BE(frame.length, at + 1);
    bytes.set(frame, at + PREFIX_BYTES);
    at += PREFIX_BYTES + frame.length;
  }
  return bytes;
}

export const dialHttp2: Dial = (hub, bearer, listener) => new Http2Transport(hub, bearer, listener);

class Http2Transport implements Transport {
  private readonly session: ClientHttp2Session;
  private readonly stream: ClientHttp2Stream;
  private readonly deframer = new Deframer();
  private isOver = false;
  private answered = false;

  constructor(
    hub: string,
    bearer: string | undefined,
    private readonly listener: Listener,
  ) {
    this.session = connect(hub.includes("://") ? hub : `http://${hub}`, {
      settings: { initialWindowSize: WINDOW_BYTES, enablePush: false },
    });
    this.session.once("connect", () => this.session.setLocalWindowSize(WINDOW_BYTES));
    this.session.on("error", (error) => this.over(new LinkEnd(this.answered ? "broken" : "dial", text(error))));
    this.session.on("close", () => this.over(new LinkEnd("closed", "the node ended the link")));
    this.stream = this.session.request(headers(bearer), { endStream: false });
    this.listen(this.stream);
  }

  write(frames: Uint8Array[]): boolean {
    return this.isOver || this.stream.write(enframe(frames));
  }

  end(): void {
    this.stream.end();
  }

  destroy(): void {
    this.isOver = true;
    this.stream.close(constants.NGHTTP2_CANCEL);
    this.session.close();
    this.session.destroy();
  }

  private listen(stream: ClientHttp2Stream): void {
    stream.on("response", (response) => this.response(response));
    stream.on("trailers", (trailers: IncomingHttpHeaders) => this.status(trailers));
    stream.on("data", (chunk: Buffer) => this.data(chunk));
    stream.on("drain", () => this.listener.drained());
    stream.on("error", (error) => this.over(new LinkEnd(this.answered ? "broken" : "dial", text(error))));
    stream.on("close", () => this.over(new LinkEnd("closed", "the node ended the link")));
  }

  private response(headers: IncomingHttpHeaders & IncomingHttpStatusHeader): void {
    this.answered = true;
    const status = headers[":status"];
    if (headers["grpc-status"] !== undefined) return this.status(headers);
    if (status !== 200) this.over(new LinkEnd("dial", `this is no node: HTTP ${status}`));
  }

  private status(headers: IncomingHttpHeaders): void {
    const code = Number(headers["grpc-status"] ?? 2);
    const message = decode(String(headers["grpc-message"] ?? `gRPC status ${code}`));
    this.over(code === 0 ? new LinkEnd("closed", "the node ended the link") : new LinkEnd("refused", message, code));
  }

  private data(chunk: Buffer): void {
    if (this.isOver) return;
    try {
      this.deframer.take(chunk, (message) => {
        if (!this.isOver) this.listener.frame(message);
      });
    } catch (error) {
      this.over(new LinkEnd("protocol", `the node breaks the protocol: ${text(error)}`));
    }
  }

  private over(end: LinkEnd): void {
    if (this.isOver) return;
    this.destroy();
    this.listener.ended(end);
  }
}

function headers(bearer: string | undefined): Record<string, string> {
  return {
    ":method": "POST",
    ":path": "/ostler.worker.v1.Workers/Attach",
    "content-type": "application/grpc",
    te: "trailers",
    ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
  };
}

/** `grpc-message` is percent-encoded. */
function decode(message: string): string {
  try {
    return decodeURIComponent(message);
  } catch {
    return message;
  }
}

/** A stream that never began only says so; why is said by its cause. */
function text(error: unknown): string {
  if (error instanceof Error && error.cause !== undefined) return text(error.cause);
  if (error instanceof AggregateError) return error.errors.map(text).join("; ");
  return error instanceof Error ? error.message : String(error);
}
