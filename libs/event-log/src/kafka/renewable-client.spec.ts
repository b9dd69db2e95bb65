import { describe, expect, it } from '@jest/globals';
import { RenewableClient } from './renewable-client.js';

class FakeClient {
  connected = 0;
  disconnected = 0;
  constructor(readonly number: number) {}
  async connect(): Promise<void> {
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

  it('connects anew after a connection that failed, and not at all once closed', async () => {
    const { client, clients } = renewable(1_000);
    let fails = true;
    const connect = FakeClient.prototype.connect;
    FakeClient.prototype.connect = async function (this: FakeClient) {
      if (fails) throw new Error('nobody there');
      await connect.call(this);
    };
    try {
      await expect(client.connect()).rejects.toThrow('nobody there');
      fails = false;
      expect(await client.use(async (c) => c.number)).toBe(1);
    } finally {
      FakeClient.prototype.connect = connect;
    }
    await client.close();
    expect(clients[1]?.disconnected).toBe(1);
    await expect(client.use(async () => 1)).rejects.toThrow('closed');
  });
});
