import { Controller, Get, Headers, Inject, Query, Req, Res } from '@nestjs/common';
import { TailedAttempt, TailQuery } from '@posthaste/contracts';
import { Problem } from '@posthaste/runtime';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Reach, Within } from '../access/principal.js';
import { Accounts } from '../accounts/accounts.js';
import { Endpoints } from '../endpoints/endpoints.js';
import { startEventStream } from '../feeds/index.js';
import { Operation } from '../http/operation.js';
import { absent, fieldProblem } from '../http/refusals.js';
import { type Place, placeOf } from './place.js';
import { type Opening, Tail } from './tail.js';
import type { Wanted } from './tail-follower.js';

const RETRY_MS = 1_000;

@Controller('v1')
export class TailController {
  constructor(
    @Inject(Accounts) private readonly accounts: Accounts,
    @Inject(Endpoints) private readonly endpoints: Endpoints,
    @Inject(Tail) private readonly tail: Tail,
  ) {}

  @Get('tail')
  @Operation({
    id: 'tailAttempts',
    tag: 'Deliveries',
    summary: 'Follow attempts as they are made',
    description:
      'Server-sent events: each attempt as one event `message`, those of resends and replays too, those of test sends and ' +
      'copies to a shadow URL not. It goes on after the header `Last-Event-ID`, else after `after`, else with what is made ' +
      'from now on; up to two hours back. Events `position` only have an id, to go on after. What is written in the ' +
      'moment a connection breaks may be sent twice: the id in the data tells.',
    access: ['tenant', 'account'],
    needs: 'deliveries:read',
    status: 200,
    answers: TailedAttempt,
    mediaType: 'text/event-stream',
    problems: [410, 429],
  })
  async follow(
    @Req() { principal }: FastifyRequest,
    @Within() reach: Reach,
    @Query({ schema: TailQuery }) query: TailQuery,
    @Headers('last-event-id') lastEventId: string | undefined,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    if (!principal || principal.kind === 'operator') throw new Error('this route is not for operators');
    const header = placeIn(lastEventId);
    const after = header ?? (query.after === undefined ? null : placeIn(query.after, '?after'));
    const wanted = await this.wanted(reach, query);
    const opening = await this.opening(after);
    if (opening?.kind === 'expired') throw expired(header === null ? '?after' : 'last-event-id');
    const stream = startEventStream(reply, { retryMs: RETRY_MS });
    if (opening === null) return stream.end('interrupted');
    const following = this.tail.follow(opening, wanted, stream, principal.key);
    stream.onClosed(() => following.close());
  }

  /** Null while the log is away: an EventSource that is refused once never comes again, one whose stream ends does. */
  private async opening(after: Place | null): Promise<Opening | null> {
    try {
      return await this.tail.opening(after);
    } catch {
      return null;
    }
  }

  private async wanted(reach: Reach, query: TailQuery): Promise<Wanted> {
    const account = query.account === undefined ? reach.account : await this.accountId(reach, query.account);
    const named = query.endpoint_id;
    const endpoint = named === undefined ? null : await this.endpointId(reach, account, named);
    return {
      tenant: reach.tenant,
      account,
      endpoint,
      eventType: query.event_type,
      outcome: query.outcome,
      status: query.status,
      errorClass: query.error_class,
      statusCode: query.status_code,
    };
  }

  private async accountId(reach: Reach, account: string): Promise<string> {
    const row = await this.accounts.find(reach, account);
    if (!row) throw absent('account', '?account');
    return row.id;
  }

  private async endpointId(reach: Reach, account: string | null, endpoint: string): Promise<string> {
    const row = await this.endpoints.find(reach, { account: account ?? undefined, endpoint });
    if (!row) throw absent('endpoint', '?endpoint_id');
    return row.id;
  }
}

/** Some clients send an empty header when they have none. */
function placeIn(text = '', pointer = 'last-event-id'): Place | null {
  if (text === '') return null;
  const place = placeOf(text);
  if (place) return place;
  const message = 'must be the id of an event of this stream';
  throw fieldProblem([{ pointer, code: 'invalid_format', message }], 'invalid_request');
}

function expired(pointer: string): Problem {
  const message = 'must be a place of the last two hours';
  return new Problem('tail_expired', 'What comes after this place is not sent any more: go on without it.', [
    { pointer, code: 'tail_expired', message },
  ]);
}
