import { openEventLog, type OpenEventLogOptions } from '../open-event-log.js';
import { Member, textRecord } from './harness.js';

/** A process for the crash suite to kill: appends or consumes until then, and tells its parent what it has seen. */
export interface ChildOrder {
  open: OpenEventLogOptions;
  role: 'append' | 'consume';
  topic: string;
  group?: string;
}

/** Appender: what was acknowledged. Consumer: what was taken, told before it is committed. */
export interface ChildMessage {
  texts: string[];
}

const order = JSON.parse(process.argv[2] ?? '{}') as ChildOrder;
const log = await openEventLog(order.open);
const topic = { name: order.topic };
const tell = (texts: string[]): Promise<void> =>
  new Promise((told) => process.send?.({ texts } satisfies ChildMessage, undefined, undefined, () => told()));

if (order.role === 'append') {
  await Promise.all(
    Array.from({ length: 16 }, async (_, worker) => {
      for (let n = 0; ; n++) {
        const text = `${worker}-${n}`;
        await log.producer.append([textRecord(topic, `k${worker}`, text)]);
        await tell([text]);
      }
    }),
  );
} else {
  const member = await Member.join(log, order.group ?? '', [topic], {
    onBatch: (batch) => {
      void tell(batch.records.map((record) => record.value.toString()))
        .then(() => member.commitTaken())
        .catch(() => undefined);
    },
  });
}
