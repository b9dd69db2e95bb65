import type { WatchedOrder, WatchedReport, WorkerOrder } from './traffic/protocol.js';
import { publishAll } from './traffic/publishing.js';
import { readAll } from './traffic/reading.js';
import { TailWatch } from './traffic/tail-watch.js';
import { serveOrders } from './traffic/worker-process.js';

let watch: TailWatch | undefined;

/** The senders' side: whoever publishes, and whoever reads or follows what became of it. */
async function obey(order: WorkerOrder): Promise<unknown> {
  switch (order.kind) {
    case 'generate':
      return publishAll(order.order);
    case 'read':
      return readAll(order.order);
    case 'watch':
      watch = await TailWatch.open(order.order);
      return;
    case 'watched':
      return endOfWatch(order.order);
    case 'listen':
    case 'behave':
    case 'reset':
    case 'collect':
      throw new Error('the generator receives nothing');
  }
}

function endOfWatch(order: WatchedOrder): Promise<WatchedReport> {
  if (watch === undefined) throw new Error('nothing is followed');
  return watch.end(order);
}

serveOrders(obey);
