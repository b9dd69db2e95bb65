import { BenchReceiver } from './traffic/bench-receiver.js';
import type { WorkerOrder } from './traffic/protocol.js';
import { serveOrders } from './traffic/worker-process.js';

/** The customers' side: receivers by their URLs. */
const receivers = new Map<string, BenchReceiver>();

function receiverAt(url: string): BenchReceiver {
  const receiver = receivers.get(url);
  if (receiver === undefined) throw new Error(`there is no receiver at ${url}`);
  return receiver;
}

async function obey(order: WorkerOrder): Promise<unknown> {
  switch (order.kind) {
    case 'listen': {
      const receiver = await BenchReceiver.open(order.behaviour);
      receivers.set(receiver.url, receiver);
      return receiver.url;
    }
    case 'behave':
      return receiverAt(order.receiver).behave(order.behaviour);
    case 'reset':
      for (const receiver of receivers.values()) receiver.reset(order.expected);
      return;
    case 'collect': {
      const { seen } = receiverAt(order.order.receiver);
      await seen.whenCollected(order.order);
      return seen.report(order.order.partsAt);
    }
    case 'generate':
    case 'read':
    case 'watch':
    case 'watched':
      throw new Error('the receivers generate nothing');
  }
}

serveOrders(obey);
