// The official TypeScript SDK 1.x: connect, list, call, read, get, answer; or resume over a restart.
// Usage: node typescript-1.mjs URL legacy|restart
import assert from 'node:assert/strict';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { CreateMessageRequestSchema, ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { checkOneSessionResumed, observedFetch } from './observed.mjs';

const [url, mode] = process.argv.slice(2);
const client = new Client({ name: 'interop', version: '1' }, { capabilities: { elicitation: {}, sampling: {} } });
client.setRequestHandler(ElicitRequestSchema, async ({ params }) => ({
  action: 'accept',
  content: params.requestedSchema.properties.confirm ? { confirm: true } : { username: 'ada', email: 'ada@example.com' },
}));
client.setRequestHandler(CreateMessageRequestSchema, async () => ({
  role: 'assistant', model: 'none', content: { type: 'text', text: 'forty-two' },
}));
const transport = new StreamableHTTPClientTransport(new URL(url), {
  fetch: observedFetch,
  reconnectionOptions: { initialReconnectionDelay: 200, maxReconnectionDelay: 1000, reconnectionDelayGrowFactor: 1.5, maxRetries: 30 },
});
await client.connect(transport);
assert.equal(transport.protocolVersion, '2025-11-25');

if (mode === 'restart') {
  let told = false;
  const result = await client.callTool({ name: 'slow_compute', arguments: { seconds: 6, label: 'kept' } }, undefined, {
    timeout: 60_000,
    onresumptiontoken: () => {
      if (!told) console.log('READY');
      told = true;
    },
  });
  assert.match(result.content[0].text, /kept/);
  const { tools } = await client.listTools();
  assert.ok(tools.length > 10);
  checkOneSessionResumed();
} else {
  const { tools } = await client.listTools();
  assert.equal(tools[0].name, 'test_simple_text');
  const simple = await client.callTool({ name: 'test_simple_text' });
  assert.equal(simple.content[0].text, 'This is a simple text response for testing.');
  const progress = [];
  await client.callTool({ name: 'test_tool_with_progress' }, undefined, { onprogress: (p) => progress.push(p.progress) });
  assert.deepEqual(progress, [0, 50, 100]);
  const elicited = await client.callTool({ name: 'test_elicitation', arguments: { message: 'who?' } });
  assert.match(elicited.content[0].text, /ada/);
  const sampled = await client.callTool({ name: 'test_sampling', arguments: { prompt: 'what?' } });
  assert.match(sampled.content[0].text, /forty-two/);
  // A tool that runs only as a task: created, polled, asked while its result is waited for.
  const followed = [];
  for await (const message of client.experimental.tasks.callToolStream({ name: 'confirm_delete', arguments: { filename: 'a.txt' } })) {
    followed.push(message);
  }
  assert.equal(followed[0].type, 'taskCreated');
  assert.equal(followed.at(-1).type, 'result', JSON.stringify(followed.at(-1)));
  assert.equal(followed.at(-1).result.content[0].text, 'Deleted a.txt');
  const { contents } = await client.readResource({ uri: 'test://static-text' });
  assert.match(contents[0].text, /static text resource/);
  const { messages } = await client.getPrompt({ name: 'test_prompt_with_arguments', arguments: { arg1: 'x1', arg2: 'x2' } });
  assert.match(messages[0].content.text, /x1.*x2/);
}
await transport.terminateSession();
await client.close();
console.log('OK');
