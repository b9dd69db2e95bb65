import type { WorkerOrder } from './traffic/protocol.js';
import { publishAll } from './traffic/publishing.js';
import { readAll } from './traffic/reading.js';
import { serveOrders } from './traffic/worker-process.js';

/** The senders' side: whoever publishes, and whoever reads what became of it. */
async function obey(order: WorkerOrder): Promise<unknown> {
  switch (order.kind) {
    case 'generate':
      return publishAll(order.order);
    case 'read':
      return readAll(order.order);
    case 'listen':
    case 'behave':
    case 'reset':
    case 'collect':
      throw new Error('the generator receives nothing');
  }
}

serveOrders(obey);
