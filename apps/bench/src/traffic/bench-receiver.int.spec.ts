import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { BenchReceiver } from './bench-receiver.js';
import { holdingsOf } from '../product/process-cost.js';
import type { Behaviour } from './protocol.js';
import { nowMs, stampedPayload } from './stamped-payload.js';

let receiver: BenchReceiver;
const sockets: Socket[] = [];

async function open(behaviour: Behaviour): Promise<void> {
  receiver = await BenchReceiver.open(behaviour);
  receiver.reset({ messages: 8, endpoints: 1 });
}

function post(seq: number, to = receiver): Promise<Response> {
  const body = stampedPayload({ seq, sentAtMs: nowMs() }, 256);
  return fetch(to.url, { method: 'POST', body });
}

/** A request whose connection is at hand. */
async function postOnSocket(): Promise<Socket> {
  const { hostname, port, host } = new URL(receiver.url);
  const socket = connect(Number(port), hostname);
  sockets.push(socket);
  // A receiver that goes away may reset the connection.
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.write(`POST / HTTP/1.1\r\nhost: ${host}\r\ncontent-length: 2\r\n\r\n{}`);
  return socket;
}

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await receiver.close();
});

describe('a receiver of the benchmark', () => {
  it('that is prompt answers 200 and keeps what came', async () => {
    await open('prompt');
    expect((await post(3)).status).toBe(200);
    expect(receiver.seen.report([])).toMatchObject({ distinct: 1, missing: [0, 1, 2, 4, 5, 6, 7] });
  });

  it('that fails answers 500 at once, and has received nothing', async () => {
    await open('fail');
    expect((await post(3)).status).toBe(500);
    expect(receiver.seen.report([]).received).toBe(0);
  });

  it('that drips begins its answer and goes on byte by byte', async () => {
    await open('drip');
    const socket = await postOnSocket();
    const [first] = (await once(socket, 'data')) as [Buffer];
    const [second] = (await once(socket, 'data')) as [Buffer];
    expect(Buffer.concat([first, second]).toString()).toBe('HT');
    expect(receiver.seen.report([]).received).toBe(0);
  });

  it('that hangs keeps the connection and says nothing until it is gone', async () => {
    await open('hang');
    const before = holdingsOf(process.pid).sockets;
    const socket = await postOnSocket();
    if (process.platform === 'linux') expect(holdingsOf(process.pid).sockets).toBeGreaterThan(before);
    // A whole exchange later, in the same process, its request has been read too.
    const other = await BenchReceiver.open('prompt');
    await post(0, other);
    await other.close();
    expect([socket.bytesRead, socket.closed]).toEqual([0, false]);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    await receiver.behave('refuse');
    await closed;
    expect(socket.bytesRead).toBe(0);
    expect(receiver.seen.report([]).received).toBe(0);
  });

  it('that refuses is not there, and comes back at the same address', async () => {
    await open('refuse');
    await expect(post(0)).rejects.toThrow();
    await receiver.behave('prompt');
    expect((await post(1)).status).toBe(200);
    await receiver.behave('refuse');
    await expect(post(2)).rejects.toThrow();
    expect(receiver.seen.report([]).missing).toEqual([0, 2, 3, 4, 5, 6, 7]);
  });
});
