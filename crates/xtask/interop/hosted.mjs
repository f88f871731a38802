// Lists and calls hosted servers with the official TypeScript SDK 2.x, in either era.
// Usage: node hosted.mjs legacy|modern CALLS, where CALLS is JSON: [{url, tool, arguments, expect}]
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

const [mode, calls] = process.argv.slice(2);
const era = mode === 'modern' ? { versionNegotiation: { mode: 'auto' } } : {};

// A bridge serves what is there; a server that takes long to start comes later.
const limit = performance.now() + 90_000;

// A new client for each look: what a server can do is said when a client connects.
async function connected(url, tool) {
  const client = new Client({ name: 'hosted', version: '1' }, era);
  try {
    await client.connect(new StreamableHTTPClientTransport(new URL(url)));
    const { tools } = await client.listTools();
    assert.ok(tools.some(({ name }) => name === tool), `${tool} is not in [${tools.map(({ name }) => name)}]`);
    return { client, tools };
  } catch (error) {
    await client.close();
    if (performance.now() >= limit) throw new Error(`${url} has not come up in time`, { cause: error });
    await sleep(500);
    return connected(url, tool);
  }
}

async function hosted({ url, tool, arguments: given, expect }) {
  const { client, tools } = await connected(url, tool);
  assert.equal(client.getNegotiatedProtocolVersion(), mode === 'modern' ? '2026-07-28' : '2025-11-25');
  const result = await client.callTool({ name: tool, arguments: given });
  const text = JSON.stringify(result.content);
  assert.ok(!result.isError && text.includes(expect), text);
  await client.close();
  console.log(`${new URL(url).pathname}: ${tools.length} tools, ${tool} called`);
}

for (const call of JSON.parse(calls)) await hosted(call);
console.log('OK');
