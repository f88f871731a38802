import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

test("the generated codec is current with the proto", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "ostler-generated-"));
  t.after(() => rmSync(folder, { recursive: true }));
  execFileSync("scripts/generate.sh", [folder]);
  const file = "ostler/worker/v1/worker.ts";
  const [made, kept] = [join(folder, file), join("src/wire", file)].map((path) => readFileSync(path, "utf8"));
  assert.ok(made === kept, "run `npm run generate`");
});
