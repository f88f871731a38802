// The official TypeScript SDK 2.x in either era.
// Usage: node typescript-2.mjs [OSTLER] URL legacy|modern|restart; with a program through `ostler connect`
import assert from 'node:assert/strict';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { checkOneSessionResumed, observedFetch } from './observed.mjs';

const [url, mode] = process.argv.slice(-2);
const program = process.argv.length > 4 ? process.argv[2] : undefined;
const era = mode === 'modern' ? { versionNegotiation: { mode: 'auto' } } : {};
const client = new Client({ name: 'interop', version: '2' }, { capabilities: { elicitation: {}, sampling: {} }, ...era });
client.setRequestHandler('elicitation/create', async () => ({
  action: 'accept', content: { username: 'ada', email: 'ada@example.com' },
}));
client.setRequestHandler('sampling/createMessage', async () => ({
  role: 'assistant', model: 'none', content: { type: 'text', text: 'forty-two' },
}));
const transport = program ? new StdioClientTransport({ command: program, args: ['connect', url] })
  : new StreamableHTTPClientTransport(new URL(url), {
  fetch: observedFetch,
  reconnectionOptions: { initialReconnectionDelay: 200, maxReconnectionDelay: 1000, reconnectionDelayGrowFactor: 1.5, maxRetries: 30 },
});
await client.connect(transport);
assert.equal(client.getNegotiatedProtocolVersion(), mode === 'modern' ? '2026-07-28' : '2025-11-25');

if (mode === 'restart') {
  let told = false;
  const result = await client.callTool({ name: 'slow_compute', arguments: { seconds: 6, label: 'kept' } }, {
    timeout: 60_000,
    onresumptiontoken: () => {
      if (!told) console.log('READY');
      told = true;
    },
  });
  assert.match(result.content[0].text, /kept/);
  assert.ok((await client.listTools()).tools.length > 10);
  checkOneSessionResumed();
} else {
  const { tools } = await client.listTools();
  assert.equal(tools[0].name, 'test_simple_text');
  const simple = await client.callTool({ name: 'test_simple_text', arguments: {} });
  assert.equal(simple.content[0].text, 'This is a simple text response for testing.');
  const progress = [];
  await client.callTool({ name: 'test_tool_with_progress', arguments: {} }, { onprogress: (p) => progress.push(p.progress) });
  assert.deepEqual(progress, [0, 50, 100]);
  const elicited = await client.callTool({ name: 'test_elicitation', arguments: { message: 'who?' } });
  assert.match(elicited.content[0].text, /ada/);
  const sampled = await client.callTool({ name: 'test_sampling', arguments: { prompt: 'what?' } });
  assert.match(sampled.content[0].text, /forty-two/);
  const { contents } = await client.readResource({ uri: 'test://static-text' });
  assert.match(contents[0].text, /static text resource/);
  const { messages } = await client.getPrompt({ name: 'test_prompt_with_arguments', arguments: { arg1: 'x1', arg2: 'x2' } });
  assert.match(messages[0].content.text, /x1.*x2/);
}
await client.close();
console.log('OK');
