import { type Attempt, publishLimits, type SendTest, type SendTestRequest } from '@posthaste/contracts';
import type { Author, Reach } from '../access/principal.js';
import type { Accounts } from '../accounts/accounts.js';
import type { Changes } from '../changes/changes.js';
import type { Endpoints } from '../endpoints/endpoints.js';
import type { EventTypes } from '../event-types/event-types.js';
import { attemptView } from '../history/index.js';
import { payloadTooLarge } from '../publish/publish-request.js';
import type { Dispatch } from './dispatch.js';

/** The event type of a test of an endpoint that asks for none in particular. */
const TEST_EVENT_TYPE = 'test';

/**
 * Test messages to one endpoint, whose caller waits for the outcome. Whatever the receiver says is an answer and no
 * problem; nothing of it is kept or counted, but the audit log says who asked.
 */
export class TestSends {
  constructor(
    private readonly accounts: Accounts,
    private readonly endpoints: Endpoints,
    private readonly eventTypes: EventTypes,
    private readonly dispatch: Dispatch,
    private readonly changes: Changes,
  ) {}

  async send(
    author: Author,
    reach: Reach,
    endpoint: string,
    { event_type, payload }: SendTest,
  ): Promise<Attempt> {
    const row = await this.endpoints.get(reach, { endpoint });
    const type = event_type ?? row.eventTypes[0] ?? TEST_EVENT_TYPE;
    const content = payload === undefined ? await this.payloadFor(reach, type) : payload;
    const bytes = Buffer.from(JSON.stringify(content));
    if (bytes.length > publishLimits.payloadBytes) throw payloadTooLarge('/payload', bytes.length);
    const request = { tenant: row.tenant, endpoint: row.id, version: row.version, event_type: type };
    const timeoutMs = row.timeoutSeconds * 1_000;
    const subject = row.profile === 'linkup' ? await this.subjectOf(reach, row.account) : undefined;
    // Before it is sent: whatever comes of it, somebody asked for it.
    await this.changes.make(author, (draft) =>
      draft.audit(row.tenant, 'endpoint.tested', { kind: 'endpoint', id: row.id, version: row.version }, []),
    );
    return attemptView(await this.dispatch.sendTest({ ...request, payload: bytes, subject }, timeoutMs));
  }

  /** As published messages of a profile that shows the account have it. */
  private async subjectOf(reach: Reach, account: string): Promise<SendTestRequest['subject']> {
    const { uid, name } = await this.accounts.get(reach, account);
    return { uid, name };
  }

  private async payloadFor(reach: Reach, type: string): Promise<unknown> {
    return (await this.eventTypes.exampleOf(reach, type)) ?? samplePayload(type);
  }
}

/** In the form that Standard Webhooks recommends. */
function samplePayload(type: string): unknown {
  return { type, timestamp: new Date().toISOString(), data: { test: true } };
}
