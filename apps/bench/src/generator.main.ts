import type { WorkerOrder } from './protocol.js';
import { publishAll } from './publishing.js';
import { readAll } from './reading.js';
import { serveOrders } from './worker-process.js';

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
