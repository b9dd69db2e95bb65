import { afterEach, describe, expect, it } from '@jest/globals';
import { RenewableClient } from './renewable-client.js';

let beforeConnect = (): void => undefined;

class FakeClient {
  connected = 0;
  disconnected = 0;
  constructor(readonly number: number) {}
  async connect(): Promise<void> {
    beforeConnect();
    this.connected++;
  }
  async disconnect(): Promise<void> {
    this.disconnected++;
  }
}

function renewable(timeoutMs: number) {
  const clients: FakeClient[] = [];
  const stuck: string[] = [];
  const create = (): FakeClient => {
    const client = new FakeClient(clients.length);
    clients.push(client);
    return client;
  };
  return { clients, stuck, client: new RenewableClient(create, timeoutMs, (message) => stuck.push(message)) };
}

describe('a renewable client', () => {
  afterEach(() => {
    beforeConnect = () => undefined;
  });

  it('is replaced, once, when calls do not come back, and left alone when they fail', async () => {
    const { client, clients, stuck } = renewable(20);
    expect(await client.use(async (c) => c.number)).toBe(0);
    await expect(client.use(() => Promise.reject(new Error('refused')))).rejects.toThrow('refused');
    expect(clients).toHaveLength(1);
    const hanging = [
      client.use(() => new Promise(() => undefined)),
      client.use(() => new Promise(() => undefined)),
    ];
    for (const call of hanging) await expect(call).rejects.toThrow('no answer');
    expect(await client.use(async (c) => c.number)).toBe(1);
    expect(clients.map(({ connected, disconnected }) => [connected, disconnected])).toEqual([
      [1, 1],
      [1, 0],
    ]);
    expect(stuck).toHaveLength(1);
  });

  it('asks again, at last by a new client, while the answer is to change soon, and no longer than a call may take', async () => {
    const { client, clients, stuck } = renewable(1_000);
    const moving = Object.assign(new Error('not the leader'), { retriable: true });
    const asked: number[] = [];
    const answer = await client.ask(async (c) => {
      asked.push(c.number);
      if (c.number === 0) throw moving;
      return c.number;
    });
    expect([answer, asked, stuck]).toEqual([1, [0, 0, 1], []]);
    expect(clients[0]?.disconnected).toBe(1);
    await expect(client.ask(() => Promise.reject(new Error('refused')))).rejects.toThrow('refused');
    expect(clients).toHaveLength(2);
    const { client: hurried } = renewable(100);
    await expect(hurried.ask(() => Promise.reject(moving))).rejects.toBe(moving);
  });

  it('connects anew after a connection that failed, and not at all once closed', async () => {
    const { client, clients } = renewable(1_000);
    let fails = true;
    beforeConnect = () => {
      if (fails) throw new Error('nobody there');
    };
    await expect(client.connect()).rejects.toThrow('nobody there');
    fails = false;
    expect(await client.use(async (c) => c.number)).toBe(1);
    await client.close();
    expect(clients[1]?.disconnected).toBe(1);
    await expect(client.use(async () => 1)).rejects.toThrow('closed');
  });
});
