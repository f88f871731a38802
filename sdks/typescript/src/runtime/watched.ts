// The resources of one Server that one node watches.

import type { Server } from "../server.js";
import { guard } from "./guard.js";
import type { Log } from "./log.js";
import type { Outbox } from "./outbox.js";

/** URIs watched on one link, and their length together. More are not told of. */
const WATCHED_MAX = 65_536;
const WATCHED_LENGTH_MAX = 16 << 20;

export class Watched {
  private readonly uris = new Set<string>();
  private length = 0;

  constructor(
    private readonly server: Server,
    private readonly index: number,
    private readonly outbox: Outbox,
    private readonly log: Log,
  ) {
    server.attach(this);
  }

  watch(uri: string): void {
    const isFull = this.uris.size >= WATCHED_MAX || this.length + uri.length > WATCHED_LENGTH_MAX;
    if (this.uris.has(uri) || isFull) return;
    this.length += uri.length;
    this.change(uri, () => this.uris.add(uri));
  }

  unwatch(uri: string): void {
    if (!this.uris.has(uri)) return;
    this.length -= uri.length;
    this.change(uri, () => this.uris.delete(uri));
  }

  /** The author is told what it changes. */
  private change(uri: string, edit: () => void): void {
    const before = this.server.isWatched(uri);
    edit();
    const after = this.server.isWatched(uri);
    if (before === after) return;
    guard(
      () => this.server.watching(uri, after),
      (why) => this.log("error", "the hook of a watched resource failed", { uri, why }),
    );
  }

  has(uri: string): boolean {
    return this.uris.has(uri);
  }

  /** Tells the node, if it watches this one. */
  updated(uri: string): void {
    if (!this.uris.has(uri) || this.outbox.isBusy) return;
    this.outbox.send(() => ({ $case: "resourceUpdated", value: { server: this.index, uri } }));
  }

  /** The link is gone. */
  close(): void {
    for (const uri of [...this.uris]) this.unwatch(uri);
    this.server.detach(this);
  }
}
