// `fetch` with a look at what an SDK does with it: which sessions it names, how often it
// initializes, whether it resumes.
import assert from 'node:assert/strict';

const seen = { sessions: new Set(), initialized: 0, resumed: 0 };

export async function observedFetch(url, init = {}) {
  const headers = new Headers(init.headers);
  if (headers.has('mcp-session-id')) seen.sessions.add(headers.get('mcp-session-id'));
  if (headers.has('last-event-id')) seen.resumed += 1;
  if (typeof init.body === 'string' && JSON.parse(init.body).method === 'initialize') seen.initialized += 1;
  return fetch(url, init);
}

export function checkOneSessionResumed() {
  assert.equal(seen.sessions.size, 1, 'another session');
  assert.equal(seen.initialized, 1, 'initialized again');
  assert.ok(seen.resumed > 0, 'no Last-Event-ID');
}
