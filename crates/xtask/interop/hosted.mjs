// Lists and calls hosted servers with the official TypeScript SDK 2.x, in either era.
// Usage: node hosted.mjs legacy|modern CALLS, where CALLS is JSON: [{url, tool, arguments, expect}]
import assert from 'node:assert/strict';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

const [mode, calls] = process.argv.slice(2);
const era = mode === 'modern' ? { versionNegotiation: { mode: 'auto' } } : {};

async function hosted({ url, tool, arguments: given, expect }) {
  const client = new Client({ name: 'hosted', version: '1' }, era);
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  assert.equal(client.getNegotiatedProtocolVersion(), mode === 'modern' ? '2026-07-28' : '2025-11-25');
  const { tools } = await client.listTools();
  assert.ok(tools.some(({ name }) => name === tool), `${tool} is not in ${tools.map(({ name }) => name)}`);
  const result = await client.callTool({ name: tool, arguments: given });
  const text = JSON.stringify(result.content);
  assert.ok(!result.isError && text.includes(expect), text);
  await client.close();
  console.log(`${new URL(url).pathname}: ${tools.length} tools, ${tool} called`);
}

for (const call of JSON.parse(calls)) await hosted(call);
console.log('OK');
