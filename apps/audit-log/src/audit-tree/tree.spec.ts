import { describe, expect, it } from '@jest/globals';
import { leafHash, SigningKey } from '@posthaste/audit-tree';
import { readEntry } from './audit-tree.projection.js';
import { Tree } from './tree.js';

/** An entry as the first release wrote it, with what a later one may add. It must have this very leaf for ever. */
const golden =
  '{"type":"ConfigurationChanged","v":1,"id":"aud_1","tenant":"ten_1","actor":"key_1","from":"192.0.2.1",' +
  '"requestId":"req_1","at":1790000000000,"action":"endpoint.updated",' +
  '"entity":{"kind":"endpoint","id":"ep_1","version":2},"changed":["url"],"later":{"b":1,"a":[2.50]}}';

describe('an entry of the log', () => {
  it('has the leaf and the checkpoint it had in the first release', () => {
    const { entry, canonical } = readEntry({ value: Buffer.from(golden) });
    expect(canonical.toString()).toBe(
      '{"action":"endpoint.updated","actor":"key_1","at":1790000000000,"changed":["url"],' +
        '"entity":{"id":"ep_1","kind":"endpoint","version":2},"from":"192.0.2.1","id":"aud_1",' +
        '"later":{"a":[2.5],"b":1},"requestId":"req_1","tenant":"ten_1","type":"ConfigurationChanged","v":1}',
    );
    const tree = new Tree(entry.tenant, [new SigningKey(Buffer.alloc(32, 7))], undefined);
    tree.append({ id: entry.id, canonical, leaf: leafHash(canonical) });
    expect(tree.growth().head.checkpoint).toBe(
      'posthaste/ten_1\n1\nj0BlBUaGXGJ4LYLsPjCYcnPYgsS8kNVo/uDwmJb3hV0=\n\n' +
        '\u2014 posthaste/ten_1 krBcLu0SmKZ72kZJJL/wlO9s3Mddr9M9gDedlJ0g0JPXUdVAzV2KuFYyUK3vFz9jL/Mh8DsOneumasNdTvVnjGLPHgY=\n',
    );
  });
});
