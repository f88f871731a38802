// What the MCP servers of the matrix have in common, whatever their SDK.
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";

export const COUNTER = "matrix://counter";
/** How often the counter was touched, and how many waits have begun and were cancelled. */
export const counts = { touched: 0, begun: 0, cancelled: 0 };

export const text = (words) => ({ content: [{ type: "text", text: String(words) }] });

/** What `ask` shows and what it makes of the answer. */
export const form = {
  message: "Who are you?",
  requestedSchema: {
    type: "object",
    properties: { name: { type: "string" } },
    required: ["name"],
  },
};
export const hello = ({ action, content }) =>
  text(action === "accept" ? `hello ${content.name}` : "declined");

export const page = { message: "Please visit.", url: "https://example.com/visit" };
export const visited = ({ action }) => text(action === "accept" ? "agreed" : "declined");

export const sample = {
  messages: [{ role: "user", content: { type: "text", text: "ping" } }],
  maxTokens: 16,
};
export const thought = ({ content }) => text(`the model said: ${content.text}`);

export const places = ({ roots }) => text(roots.map((root) => root.uri).join("\n"));

/** Tells of two steps, if the client wants to hear of them. */
export async function steps(progressToken, notify) {
  for (const progress of [1, 2]) {
    if (progressToken === undefined) continue;
    const params = { progressToken, progress, total: 2, message: `step ${progress}` };
    await notify({ method: "notifications/progress", params });
  }
  return text("done");
}

/** Waits until it is cancelled. */
export async function wait(signal) {
  counts.begun += 1;
  await sleep(60_000, undefined, { signal }).catch(() => (counts.cancelled += 1));
  return text("not cancelled");
}

/** The tools that need nothing but their arguments; `tool` registers one. */
export function plainTools(tool) {
  tool("echo", { text: z.string() }, ({ text: words }) => text(words));
  tool(
    "sum",
    { a: z.number(), b: z.number() },
    ({ a, b }) => {
      const structuredContent = { sum: a + b };
      return { ...text(JSON.stringify(structuredContent)), structuredContent };
    },
    { outputSchema: z.object({ sum: z.number() }) },
  );
  tool("fail", {}, () => ({ ...text("it failed on purpose"), isError: true }));
  tool("waits", {}, () => text(`${counts.begun} ${counts.cancelled}`));
  tool("slow", {}, async () => {
    await sleep(2_000);
    return text("done");
  });
  tool("big", { bytes: z.number().int() }, ({ bytes }) => text("x".repeat(bytes)));
}

const names = ["ada", "alan", "grace"];
export const whoBegins = (start) => names.filter((name) => name.startsWith(start));
export const greet = ({ who }) => ({
  messages: [{ role: "user", content: { type: "text", text: `Greet ${who}.` } }],
});

/** `items` is the template of the items, in the SDK's words. */
export function resources(server, items) {
  const read = (uri, words) => ({ contents: [{ uri: uri.href, mimeType: "text/plain", text: words }] });
  server.registerResource("counter", COUNTER, {}, (uri) => read(uri, String(counts.touched)));
  server.registerResource("item", items, {}, (uri, { id }) => read(uri, `item ${id}`));
}
