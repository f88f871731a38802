// A client that knows only stdio, and a shim that carries it to a URL: list, call, read, sample,
// elicit. Usage: node shim.mjs mcp-remote|supergateway PROGRAM URL sse|http
import assert from 'node:assert/strict';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { CreateMessageRequestSchema, ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';

const [shim, program, url, mode] = process.argv.slice(2);
const target = mode === 'sse' ? new URL('/sse', url).href : url;
const args = {
  'mcp-remote': [target, '--transport', `${mode}-only`, '--allow-http'],
  supergateway: [mode === 'sse' ? '--sse' : '--streamableHttp', target, '--outputTransport', 'stdio', '--logLevel', 'none'],
}[shim];
const client = new Client({ name: 'interop', version: '1' }, { capabilities: { elicitation: {}, sampling: {} } });
client.setRequestHandler(ElicitRequestSchema, async () => ({
  action: 'accept', content: { username: 'ada', email: 'ada@example.com' },
}));
client.setRequestHandler(CreateMessageRequestSchema, async () => ({
  role: 'assistant', model: 'none', content: { type: 'text', text: 'forty-two' },
}));
const transport = new StdioClientTransport({ command: process.execPath, args: [program, ...args], env: process.env });
await client.connect(transport);

const { tools } = await client.listTools();
assert.equal(tools[0].name, 'test_simple_text');
const simple = await client.callTool({ name: 'test_simple_text', arguments: {} });
assert.equal(simple.content[0].text, 'This is a simple text response for testing.');
const { contents } = await client.readResource({ uri: 'test://static-text' });
assert.match(contents[0].text, /static text resource/);
const sampled = await client.callTool({ name: 'test_sampling', arguments: { prompt: 'what?' } });
const elicited = await client.callTool({ name: 'test_elicitation', arguments: { message: 'who?' } });
if (shim === 'supergateway') {
  // It passes no questions on; the calls end all the same.
  assert.ok(sampled.isError && elicited.isError);
} else {
  assert.match(sampled.content[0].text, /forty-two/);
  assert.match(elicited.content[0].text, /ada/);
}
await client.close();
console.log('OK');
