// One gRPC stream to a node.

import { type ChannelOptions, Client, type ClientDuplexStream, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";

import { FRAME_BYTES_MAX } from "./transfer.js";

/** Why a link ended. `code` is the gRPC status, if it had an unhappy one. */
export class LinkEnd extends Error {
  constructor(
    message: string,
    readonly code?: number,
  ) {
    super(message);
  }
}

/** The sending half of a link. */
export interface Transport {
  /** Writes a frame as it is; `false` when no more should come before `drained`. */
  write(frame: Uint8Array): boolean;
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

const METHOD = "/ostler.worker.v1.Workers/Attach";
/** Large enough that the calls a node may have out fill less than half of it. */
const WINDOW_BYTES = 2 << 20;
const OPTIONS: ChannelOptions = {
  "grpc.max_receive_message_length": FRAME_BYTES_MAX,
  "grpc-node.flow_control_window": WINDOW_BYTES,
  // A worker dials its nodes itself; a proxy meant for the web is not asked.
  "grpc.enable_http_proxy": 0,
  // Each link has its own connection, and when to dial again is not the library's to say.
  "grpc.use_local_subchannel_pool": 1,
  "grpc.enable_retries": 0,
  "grpc.service_config_disable_resolution": 1,
  "grpc.enable_channelz": 0,
};

export const dialGrpc: Dial = (hub, bearer, listener) => new GrpcTransport(hub, bearer, listener);

class GrpcTransport implements Transport {
  private readonly client: Client;
  private readonly stream: ClientDuplexStream<Uint8Array, Buffer>;
  private isOver = false;

  constructor(
    hub: string,
    bearer: string | undefined,
    private readonly listener: Listener,
  ) {
    this.client = client(hub);
    // Frames are encoded where flow control counts them, and decoded where their errors are told.
    this.stream = this.client.makeBidiStreamRequest(METHOD, asBuffer, (bytes) => bytes, metadata(bearer));
    this.stream.on("data", (bytes: Buffer) => this.frame(bytes));
    this.stream.on("drain", () => this.listener.drained());
    this.stream.on("error", ({ details, code }: ServiceError) => this.over(new LinkEnd(details, code)));
    this.stream.on("end", () => this.over(new LinkEnd("the node ended the link")));
  }

  write(frame: Uint8Array): boolean {
    return this.isOver || this.stream.write(frame);
  }

  end(): void {
    this.stream.end();
  }

  destroy(): void {
    this.isOver = true;
    this.stream.cancel();
    this.client.close();
  }

  private frame(bytes: Buffer): void {
    if (this.isOver) return;
    try {
      this.listener.frame(bytes);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.over(new LinkEnd(`the node breaks the protocol: ${why}`));
    }
  }

  private over(end: LinkEnd): void {
    if (this.isOver) return;
    this.destroy();
    this.listener.ended(end);
  }
}

function client(hub: string): Client {
  const { protocol, hostname, port } = new URL(hub.includes("://") ? hub : `http://${hub}`);
  if (protocol === "https:") return new Client(`dns:${hostname}:${port || "443"}`, credentials.createSsl(), OPTIONS);
  return new Client(`dns:${hostname}:${port || "80"}`, credentials.createInsecure(), OPTIONS);
}

function metadata(bearer: string | undefined): Metadata {
  const metadata = new Metadata();
  if (bearer !== undefined) metadata.set("authorization", `Bearer ${bearer}`);
  return metadata;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
