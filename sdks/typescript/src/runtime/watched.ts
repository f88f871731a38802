// The resources of one Server that one node watches.

import type { Server } from "../server.js";
import type { Outbox } from "./outbox.js";

/** URIs watched on one link. More are not told of; each costs its length. */
const WATCHED_MAX = 65_536;

export class Watched {
  private readonly uris = new Set<string>();

  constructor(
    private readonly server: Server,
    private readonly index: number,
    private readonly outbox: Outbox,
  ) {
    server.attach(this);
  }

  watch(uri: string): void {
    if (this.uris.has(uri) || this.uris.size >= WATCHED_MAX) return;
    this.server.watching(uri, () => this.uris.add(uri));
  }

  unwatch(uri: string): void {
    if (this.uris.has(uri)) this.server.watching(uri, () => this.uris.delete(uri));
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
