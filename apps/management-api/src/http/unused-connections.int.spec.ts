import { once } from 'node:events';
import { connect } from 'node:net';
import { beforeAll, expect, it } from '@jest/globals';
import { startTestBed, type TestBed } from '../proving/test-bed.js';

let bed: TestBed;

beforeAll(async () => {
  bed = await startTestBed();
}, 60_000);

it('a connection on which nothing was ever asked does not hold up a stop', async () => {
  const { hostname, port } = new URL(bed.api.url);
  const socket = connect(Number(port), hostname);
  await once(socket, 'connect');
  // A whole request later the server knows of both connections.
  expect((await bed.api.as().get('/openapi.json')).status).toBe(200);
  const closed = once(socket, 'close');
  let said = '';
  socket.on('data', (bytes) => (said += bytes.toString()));
  await Promise.all([bed.stop(), closed]);
  // Not by a time limit, which would have answered 408.
  expect(said).toBe('');
}, 60_000);
