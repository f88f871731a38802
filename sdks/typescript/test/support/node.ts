// A real node, as people run it. `OSTLER_BIN` names the binary.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";

/** The binary to test with; there is no test without one. */
export function binary(): string {
  const path = process.env["OSTLER_BIN"];
  assert.ok(path, "set OSTLER_BIN to the path of an `ostler` binary (cargo build)");
  return path;
}

const ANY_PORT = "127.0.0.1:0";

interface Addresses {
  edge: string;
  workers: string;
}

export class Node {
  private readonly folder = mkdtempSync(join(tmpdir(), "ostler-node-"));
  private process: ChildProcess | undefined;
  private addresses: Addresses = { edge: ANY_PORT, workers: ANY_PORT };

  static async start(t: TestContext): Promise<Node> {
    const node = new Node();
    t.after(async () => {
      await node.kill();
      rmSync(node.folder, { recursive: true });
    });
    await node.run();
    return node;
  }

  /** Where workers link. */
  get hub(): string {
    return `http://${this.addresses.workers}`;
  }

  /** Where clients reach the Server `default/tools`. */
  get url(): URL {
    return new URL(`http://${this.addresses.edge}/default/tools/mcp`);
  }

  /** Starts it, again at the addresses it had. */
  async run(): Promise<void> {
    const config = join(this.folder, "ostler.toml");
    writeFileSync(config, this.config());
    const child = spawn(binary(), ["serve", "--config", config], { stdio: ["ignore", "pipe", "pipe"] });
    this.process = child;
    this.addresses = await this.serving(child);
  }

  private config(): string {
    const { edge, workers } = this.addresses;
    return `
[edge]
listen = "${edge}"
[workers]
listen = "${workers}"
anonymous = true
[admin]
listen = "${ANY_PORT}"
[store]
path = "${join(this.folder, "data")}"
[[tenant]]
name = "default"
anonymous = true
`;
  }

  private serving(child: ChildProcess): Promise<Addresses> {
    return new Promise((resolve, reject) => {
      const said: string[] = [];
      for (const output of [child.stdout, child.stderr]) {
        assert.ok(output);
        createInterface({ input: output }).on("line", (line) => {
          said.push(line);
          const found = /serving edge=(\S+) workers=(\S+)/.exec(line);
          if (found?.[1] !== undefined && found[2] !== undefined) resolve({ edge: found[1], workers: found[2] });
        });
      }
      child.once("exit", (code) => reject(new Error(`the node ended with ${code}:\n${said.join("\n")}`)));
    });
  }

  /** SIGKILL: it has no time for anything. */
  async kill(): Promise<void> {
    const child = this.process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }
}
