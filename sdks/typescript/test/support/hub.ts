// A hub that does what a test tells it to.

import assert from "node:assert/strict";
import type { TestContext } from "node:test";

import { Metadata, Server as GrpcServer, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";

import { type Server, Worker, type WorkerOptions } from "../../src/index.js";
import { Assembler, Packer } from "../../src/runtime/transfer.js";
import {
  type Answer,
  type Call,
  CallerAssertion,
  CallKind,
  FromWorker,
  type Hello,
  KnownCalls,
  type Payload,
  ToWorker,
  type Welcome,
} from "../../src/wire/ostler/worker/v1/worker.js";
import { TestClock } from "./clock.js";

/** So long that nothing a test does not ask for happens. */
export const NEVER_MS = 3_600_000;

type Stream = ServerDuplexStream<FromWorker, ToWorker>;
type In = NonNullable<FromWorker["frame"]>;
type Out = NonNullable<ToWorker["frame"]>;
type Case = In["$case"];
type ValueOfCase<C extends Case> = Extract<In, { $case: C }>["value"];

const attach = {
  path: "/ostler.worker.v1.Workers/Attach",
  requestStream: true,
  responseStream: true,
  requestSerialize: (frame: FromWorker) => Buffer.from(FromWorker.encode(frame).finish()),
  requestDeserialize: (bytes: Buffer) => FromWorker.decode(bytes),
  responseSerialize: (frame: ToWorker | Buffer) =>
    Buffer.isBuffer(frame) ? frame : Buffer.from(ToWorker.encode(frame).finish()),
  responseDeserialize: (bytes: Buffer) => ToWorker.decode(bytes),
};

/** What flow control does not count. */
const UNCOUNTED = new Set<Case>(["hello", "pong", "consumed", "leaving", "visited"]);

/** Things that come one after the other, for whoever waits for the next. */
class Inbox<T> {
  private readonly items: T[] = [];
  private readonly takers: ((item: T) => void)[] = [];

  put(item: T): void {
    const taker = this.takers.shift();
    if (taker === undefined) this.items.push(item);
    else taker(item);
  }

  take(): Promise<T> {
    const item = this.items.shift();
    return item === undefined ? new Promise((resolve) => this.takers.push(resolve)) : Promise.resolve(item);
  }

  get length(): number {
    return this.items.length;
  }
}

/** Where workers dial in. */
export class Hub {
  private readonly server = new GrpcServer();
  private readonly links = new Inbox<HubLink>();
  /** Refuses every link with this status. */
  refuseWith: { code: number; details: string } | undefined;

  static async start(t: TestContext): Promise<Hub> {
    const hub = new Hub();
    const port = await hub.listen();
    hub.url = `http://127.0.0.1:${port}`;
    t.after(() => hub.server.forceShutdown());
    return hub;
  }

  url = "";

  private listen(): Promise<number> {
    const handler = (stream: Stream) => {
      if (this.refuseWith !== undefined) {
        stream.emit("error", { ...this.refuseWith, metadata: new Metadata() });
        return;
      }
      this.links.put(new HubLink(stream));
    };
    this.server.addService({ attach }, { attach: handler });
    return new Promise((resolve, reject) => {
      this.server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
        if (error) reject(error);
        else resolve(port);
      });
    });
  }

  /** The next link, when its `Hello` has come. */
  async link(): Promise<HubLink> {
    const link = await this.links.take();
    await link.greeted();
    return link;
  }

  /** The same, made welcome. */
  async welcome(welcome: Partial<Welcome> = {}): Promise<HubLink> {
    const link = await this.link();
    link.welcome(welcome);
    return link;
  }
}

/** One attached worker. */
export class HubLink {
  hello!: Hello;
  private readonly frames = new Inbox<In | "end">();
  private readonly assembler = new Assembler({ payloadBytesMax: 64 << 20, openBytesMax: 64 << 20, openLengthMax: 64 });
  private transfers = 0n;
  /** Grants what comes in, as it comes. */
  grants = true;
  /** Bytes that the worker may send; none are counted before the welcome. */
  private credit: bigint | undefined;
  /** Bytes that the worker said it took in. */
  consumed = 0n;

  constructor(private readonly stream: Stream) {
    stream.on("data", (message: FromWorker) => {
      if (message.frame === undefined) return;
      this.frames.put(message.frame);
      if (!UNCOUNTED.has(message.frame.$case)) this.take(BigInt(FromWorker.encode(message).finish().length));
    });
    stream.on("end", () => {
      this.frames.put("end");
      stream.end();
    });
    stream.on("error", () => undefined);
    stream.on("cancelled", () => this.frames.put("end"));
  }

  /** Counts as a node does: `crates/rpc/src/frame.rs`. */
  private take(bytes: bigint): void {
    if (this.credit === undefined) return;
    this.credit -= bytes;
    assert.ok(this.credit >= 0n, "the worker sends no more than it may");
    if (this.grants) this.send({ $case: "grant", value: { bytes } });
  }

  get authorization(): unknown {
    return this.stream.metadata.get("authorization")[0];
  }

  async greeted(): Promise<void> {
    this.hello = await this.expect("hello");
  }

  welcome(welcome: Partial<Welcome> = {}): void {
    const byteCredit = 1n << 19n;
    const value = { protocol: 1, heartbeatMs: NEVER_MS, byteCredit, outcomeBytesMax: 1n << 24n, refusals: [], ...welcome };
    this.credit = value.byteCredit;
    this.send({ $case: "welcome", value });
  }

  send(frame: Out): void {
    if (frame.$case === "grant" && this.credit !== undefined) this.credit += frame.value.bytes;
    this.stream.write({ frame });
  }

  /** Bytes that are no frame. */
  sendBytes(bytes: Buffer): void {
    this.stream.write(bytes as unknown as ToWorker);
  }

  /** Takes in nothing more. */
  pause(): void {
    this.stream.pause();
  }

  /** Cuts the link without a word of the worker's. */
  cut(): void {
    this.stream.emit("error", { code: 14, details: "cut", metadata: new Metadata() });
  }

  /** The next frame but parts, which are put together, and `Consumed`, which is counted. */
  async next(): Promise<In | "end"> {
    for (;;) {
      const frame = await this.frames.take();
      if (frame === "end") return frame;
      if (frame.$case === "part") this.assembler.add(frame.value);
      else if (frame.$case === "consumed") this.consumed += frame.value.bytes;
      else return frame;
    }
  }

  /** Frames that nobody took. */
  get waiting(): number {
    return this.frames.length;
  }

  async expect<C extends Case>(wanted: C): Promise<ValueOfCase<C>> {
    const frame = await this.next();
    if (frame === "end" || frame.$case !== wanted) {
      assert.fail(`wanted ${wanted}, came ${JSON.stringify(frame, bigints)}`);
    }
    return frame.value as ValueOfCase<C>;
  }

  /** Until the worker has taken in all that was sent. */
  async settled(): Promise<void> {
    this.send({ $case: "ping", value: { nonce: 1n } });
    await this.expect("pong");
  }

  /** Until the worker ends the link. */
  async ended(): Promise<void> {
    while ((await this.next()) !== "end");
  }

  bytes(payload: Payload | undefined): Buffer {
    return this.assembler.finish(payload);
  }

  json(payload: Payload | undefined): unknown {
    return JSON.parse(this.bytes(payload).toString());
  }

  /** Sends parts ahead of what carries the payload. */
  pack(value: unknown): Payload {
    const packer = new Packer(() => (this.transfers += 1n));
    const payload = packer.pack(Buffer.isBuffer(value) ? value : Buffer.from(JSON.stringify(value)));
    for (const transfer of packer.transfers) {
      for (let part = transfer.nextPart(); part !== undefined; part = transfer.nextPart()) {
        this.send({ $case: "part", value: part });
      }
    }
    return payload;
  }

  call(id: number, target: string, args: unknown = {}, more: Partial<Call> = {}): void {
    const value: Call = {
      call: callId(id),
      attempt: 1,
      server: 0,
      kind: CallKind.TOOL,
      target,
      arguments: this.pack(args),
      client: undefined,
      caller: undefined,
      timeLeftMs: 0n,
      traceparent: "",
      tracestate: "",
      wantsProgress: false,
      answers: [],
      ...more,
    };
    this.send({ $case: "call", value });
  }

  /** The result of a call, which must be the next frame. */
  async result(id: number): Promise<unknown> {
    const { call, outcome } = await this.expect("outcome");
    assert.deepEqual(call, callId(id));
    if (outcome?.$case !== "result") assert.fail(JSON.stringify(outcome, bigints));
    return this.json(outcome.value);
  }

  async text(id: number): Promise<string> {
    return ((await this.result(id)) as { content: { text: string }[] }).content.map(({ text }) => text).join("|");
  }

  async failure(id: number) {
    const { call, outcome } = await this.expect("outcome");
    assert.deepEqual(call, callId(id));
    if (outcome?.$case !== "failure") assert.fail(JSON.stringify(outcome, bigints));
    return outcome.value;
  }

  /** Answers questions by key. */
  answer(id: number, values: Record<string, unknown>): void {
    const answers: Answer[] = Object.entries(values).map(([key, value]) => ({
      key,
      answer: { $case: "value", value: this.pack(value) },
    }));
    this.send({ $case: "answers", value: { call: callId(id), answers } });
  }

  known(): { id: bigint; attempt: number; state: number }[] {
    const { calls } = KnownCalls.decode(this.bytes(this.hello.calls));
    return calls.map(({ call, attempt, state }) => ({ id: call?.lo ?? 0n, attempt, state }));
  }
}

function bigints(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? value.toString() : value;
}

/** Who calls; what is not said is empty. */
export function caller(said: Partial<CallerAssertion>): CallerAssertion {
  return { ...CallerAssertion.decode(new Uint8Array()), ...said };
}

/** Both halves beyond what a double holds, so that a lossy one shows. */
export function callId(id: number): { hi: bigint; lo: bigint } {
  return { hi: 0xfedc_ba98_7654_3210n, lo: BigInt(id) };
}

export interface Bench {
  hub: Hub;
  clock: TestClock;
  /** What the worker said to its log. */
  logged: string[];
  /** Asks the worker to end. */
  shutdown: AbortController;
  now: AbortController;
  ended: Promise<void>;
}

/** A worker that serves `server`, linked to nothing yet. */
export async function start(t: TestContext, server: Server, options: WorkerOptions = {}): Promise<Bench> {
  const hub = await Hub.start(t);
  const clock = new TestClock();
  const logged: string[] = [];
  const log = (_level: string, message: string, fields: Record<string, unknown>) => {
    logged.push(`${message} ${Object.values(fields).join(" ")}`);
  };
  const [shutdown, now] = [new AbortController(), new AbortController()];
  const worker = new Worker(hub.url, { id: "w", clock, log, ...options }).serve("acme", "tools", server);
  const ended = worker.runUntil(shutdown.signal, now.signal);
  ended.catch(() => undefined);
  t.after(() => {
    shutdown.abort();
    now.abort();
    clock.advance(NEVER_MS);
  });
  return { hub, clock, logged, shutdown, now, ended };
}

/** A worker linked to a hub that has made it welcome. */
export async function linked(t: TestContext, server: Server, options: WorkerOptions = {}): Promise<Bench & { link: HubLink }> {
  const bench = await start(t, server, options);
  return { ...bench, link: await bench.hub.welcome() };
}
