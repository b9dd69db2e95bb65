import { describe, expect, it } from '@jest/globals';
import { SendQueue, type Shipment } from './send-queue.js';

interface Record {
  message: { value: string };
  bytes: number;
  isOver: boolean;
}

const record = (value: string, bytes = 1): Record => ({ message: { value }, bytes, isOver: false });
const shown = (batch: Shipment<Record>[]): string[] =>
  batch.map(({ lane, items }) => `${lane.partition}:${items.map((item) => item.message.value).join('')}`);

describe('the queue of records on their way out', () => {
  it('gives nothing of a partition while a shipment of it is under way, then what gathered behind', () => {
    const queue = new SendQueue<Record>(10, 100);
    queue.add('t', 0, record('a'));
    const [first] = queue.take();
    queue.add('t', 0, record('b'));
    queue.add('t', 1, record('c'));
    expect(shown(queue.take())).toEqual(['1:c']);
    expect(queue.hasReady).toBe(false);
    if (first) queue.release(first.lane);
    expect(shown(queue.take())).toEqual(['0:b']);
  });

  it('fills a batch up to its records and bytes, and a record above the limit goes alone', () => {
    const byRecords = new SendQueue<Record>(3, 100);
    for (const value of ['a', 'b', 'c', 'd']) byRecords.add('t', 0, record(value));
    expect(byRecords.isFull).toBe(true);
    expect(shown(byRecords.take())).toEqual(['0:abc']);

    const byBytes = new SendQueue<Record>(10, 100);
    byBytes.add('t', 0, record('L', 300));
    byBytes.add('t', 1, record('s', 60));
    byBytes.add('t', 2, record('m', 60));
    expect(shown(byBytes.take())).toEqual(['0:L']);
    expect(byBytes.isFull).toBe(true);
    expect(shown(byBytes.take())).toEqual(['1:s']);
    expect(byBytes.isFull).toBe(false);
    expect(shown(byBytes.take())).toEqual(['2:m']);
  });

  it('serves the partition that became ready first, though others have more', () => {
    const queue = new SendQueue<Record>(2, 100);
    for (const value of ['a', 'b', 'c', 'd']) queue.add('t', 0, record(value));
    queue.add('t', 1, record('x'));
    const [first] = queue.take();
    if (first) queue.release(first.lane);
    expect(shown(queue.take())).toEqual(['1:x', '0:c']);
  });

  it('neither sends nor keeps what nobody waits for', () => {
    const queue = new SendQueue<Record>(10, 100);
    const items = ['a', 'b', 'c'].map((value) => record(value));
    for (const item of items) queue.add('t', 0, item);
    for (const item of items.slice(0, 2)) item.isOver = true;
    queue.dropOver();
    const [shipment] = queue.take();
    expect(shipment?.items).toEqual([items[2]]);
    expect(shipment?.lane.waiting).toEqual([]);
    if (shipment) queue.release(shipment.lane);
    queue.add('t', 0, { ...record('d'), isOver: true });
    expect(queue.take()).toEqual([]);
    expect(queue.hasReady).toBe(false);
  });
});
