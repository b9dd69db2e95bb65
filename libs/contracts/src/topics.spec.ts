import { describe, expect, it } from '@jest/globals';
import { type DeliveryAttempted, topics } from './index.js';

const meta = {
  v: 1 as const,
  id: 'msg_1',
  tenant: 'ten_1',
  account: 'acc_1',
  type: 'invoice.paid',
  contentType: 'application/json',
  at: 1_790_000_000_000,
  config: 3,
  routes: [{ endpoint: 'ep_1', version: 2 }],
};

/** The shapes of the first release as they lie in people's logs. They must decode for ever. */
const golden = {
  attempted:
    '{"type":"DeliveryAttempted","v":1,"delivery":"dlv_1","message":"msg_1","tenant":"ten_1","account":"acc_1","endpoint":"ep_1","eventType":"invoice.paid","acceptedAt":1790000000000,"attempt":1,"trigger":"publish","id":"att_1","startedAt":1790000000010,"endpointVersion":2,"profile":"standard","outcome":"failed","error":{"class":"http_status","message":"500"},"request":{"url":"https://example.com/","headers":{"webhook-id":"msg_1"}},"response":{"status":500,"headers":{"set-cookie":["a=1","b=2"]},"body":"bm8=","bodyTruncated":false},"address":"93.184.215.14:443","timings":{"totalMs":12.5},"decision":{"kind":"retry","at":1790000005010}}',
  meta: '{"v":1,"id":"msg_1","tenant":"ten_1","account":"acc_1","type":"invoice.paid","contentType":"application/json","at":1790000000000,"config":3,"routes":[{"endpoint":"ep_1","version":2}]}',
};

describe('a message in the log', () => {
  const payload = Buffer.from('{"n":12345678901234567890,"a":1,"a":2}');

  it('keeps its payload byte for byte and its facts in one header', () => {
    const record = topics.messages.encode({ meta, payload });
    expect(record).toEqual({ key: 'acc_1', value: payload, meta: golden.meta });
    expect(topics.messages.decode(record)).toEqual({ meta, payload });
  });

  it('does not decode without its header, or with another one', () => {
    expect(() => topics.messages.decode({ value: payload })).toThrow();
    expect(() => topics.messages.decode({ value: payload, meta: '{"v":2}' })).toThrow();
    expect(() => topics.due.decode({ value: payload, meta: golden.meta })).toThrow();
  });
});

describe('a delivery event in the log', () => {
  it('written by the first release still decodes', () => {
    const event = topics.deliveries.decode({ value: Buffer.from(golden.attempted) }) as DeliveryAttempted;
    expect(JSON.stringify(event)).toBe(golden.attempted);
    expect(topics.deliveries.encode(event).key).toBe('acc_1');
  });

  it.each([
    ...['', '{', '[]', '{"type":"DeliveryLost"}', golden.attempted.replace('"v":1', '"v":2')],
    ...['["a=1",2]', '{}', '5', 'null'].map((odd) => golden.attempted.replace('["a=1","b=2"]', odd)),
    ...['[]', 'null', '"webhook-id"'].map((odd) => golden.attempted.replace('{"webhook-id":"msg_1"}', odd)),
  ])('does not decode from %j', (text) => {
    expect(() => topics.deliveries.decode({ value: Buffer.from(text) })).toThrow();
  });
});
