// The official TypeScript SDK of the 1.0 to 1.10 era, which speaks 2024-11-05: list, call, report,
// read, get, answer a sample. Usage: node typescript-old.mjs URL sse|http
import assert from 'node:assert/strict';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { CreateMessageRequestSchema } from '@modelcontextprotocol/sdk/types.js';

const [url, mode] = process.argv.slice(2);
const client = new Client({ name: 'interop', version: '1' }, { capabilities: { sampling: {} } });
client.setRequestHandler(CreateMessageRequestSchema, async () => ({
  role: 'assistant', model: 'none', content: { type: 'text', text: 'forty-two' },
}));
await client.connect(await transport());

const { tools } = await client.listTools();
assert.equal(tools[0].name, 'test_simple_text');
const simple = await client.callTool({ name: 'test_simple_text', arguments: {} });
assert.equal(simple.content[0].text, 'This is a simple text response for testing.');
const audio = await client.callTool({ name: 'test_audio_content', arguments: {} });
assert.equal(audio.content[0].type, 'text', 'a revision without audio gets a note');
const progress = [];
await client.callTool({ name: 'test_tool_with_progress', arguments: {} }, undefined, {
  onprogress: (report) => progress.push(report.progress),
});
assert.deepEqual(progress, [0, 50, 100]);
const sampled = await client.callTool({ name: 'test_sampling', arguments: { prompt: 'what?' } });
assert.match(sampled.content[0].text, /forty-two/);
// It cannot be asked for a form: the tool says so, and the call ends.
const elicited = await client.callTool({ name: 'test_elicitation', arguments: { message: 'who?' } });
assert.equal(elicited.isError, true);
const { contents } = await client.readResource({ uri: 'test://static-text' });
assert.match(contents[0].text, /static text resource/);
const { messages } = await client.getPrompt({ name: 'test_prompt_with_arguments', arguments: { arg1: 'x1', arg2: 'x2' } });
assert.match(messages[0].content.text, /x1.*x2/);
await client.close();
console.log('OK');
// An old stream that is closed may keep the process alive.
process.exit(0);

async function transport() {
  if (mode === 'sse') {
    // The oldest expect the browser's.
    if (!globalThis.EventSource) globalThis.EventSource = (await import('eventsource')).EventSource;
    return new SSEClientTransport(new URL('/sse', url));
  }
  const { StreamableHTTPClientTransport } = await import('@modelcontextprotocol/sdk/client/streamableHttp.js');
  return new StreamableHTTPClientTransport(new URL(url));
}
