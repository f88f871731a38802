// The official TypeScript SDK 2.x asked whatever there is to ask: pages to visit, a model with tools,
// forms of every kind of field. Usage: node asked.mjs URL legacy|modern
import assert from 'node:assert/strict';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

const [url, mode] = process.argv.slice(2);
const era = mode === 'modern' ? { versionNegotiation: { mode: 'auto' } } : {};
const capabilities = { elicitation: { form: {}, url: {} }, sampling: { tools: {} } };
const client = new Client({ name: 'interop', version: '2' }, { capabilities, ...era });

const visits = [];
const chosen = {
  untitledSingle: 'option2', titledSingle: 'value1', legacyEnum: 'opt3',
  untitledMulti: ['option1', 'option3'], titledMulti: ['value2'],
};
client.setRequestHandler('elicitation/create', async ({ params }) => {
  if (params.mode !== 'url') return { action: 'accept', content: chosen };
  visits.push(params);
  return { action: 'accept' };
});
const ended = [];
if (mode === 'legacy') {
  client.setNotificationHandler('notifications/elicitation/complete', ({ params }) => ended.push(params.elicitationId));
}
client.setRequestHandler('sampling/createMessage', async ({ params }) => {
  const answer = (content) => ({ role: 'assistant', model: 'none', content });
  const last = params.messages.at(-1).content;
  const result = [last].flat().find((block) => block.type === 'tool_result');
  if (result) return answer({ type: 'text', text: `it is ${result.content[0].text}` });
  assert.equal(params.tools[0].name, 'add');
  const use = { type: 'tool_use', id: 'one', name: 'add', input: { a: 2, b: 3 } };
  return { ...answer([use]), stopReason: 'toolUse' };
});
await client.connect(new StreamableHTTPClientTransport(new URL(url)));

const visited = await client.callTool({ name: 'test_url_elicitation', arguments: {} });
assert.equal(visited.content[0].text, 'Visit: accept');
assert.equal(visits.length, 1);
assert.match(visits[0].url, /^https:/);
if (mode === 'legacy') {
  assert.ok(visits[0].elicitationId);
  assert.deepEqual(ended, [visits[0].elicitationId]);
} else {
  assert.equal(visits[0].elicitationId, undefined);
}
const sampled = await client.callTool({ name: 'test_sampling_tools', arguments: {} });
assert.equal(sampled.content[0].text, 'LLM response: it is 5');
const form = await client.callTool({ name: 'test_elicitation_sep1330_enums', arguments: {} });
assert.match(form.content[0].text, /action=accept/);
for (const value of Object.values(chosen).flat()) assert.ok(form.content[0].text.includes(value), value);
await client.close();
console.log('OK');
