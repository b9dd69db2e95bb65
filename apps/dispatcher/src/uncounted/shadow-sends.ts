import type { DeliveryAttempted, ShadowAttempted } from '@posthaste/contracts';
import type { KnownEndpoint } from '../config-cache/known-endpoint.js';
import { type AttemptJob, makeAttempt, type Outbound } from '../send/attempt.js';
import { deliveryKeyOf } from '../settle/delivery-key.js';
import { Places } from './places.js';

/**
 * Copies of first attempts, sent to an endpoint's shadow URL once the real one has its answer: the same bytes, id,
 * time and signature, and `webhook-shadow: true`. What proves us to the receiver itself (an OAuth token, a client
 * certificate) is not shown to its shadow.
 *
 * A copy never holds anything up: it takes no place of a lane, nobody waits for it, and when too many are under way it
 * is left out. What came of it is told once; a process that ends forgets the copies it has under way. A delivery whose
 * first attempt is repeated after a crash may have a second copy.
 */
const MOST_PER_ENDPOINT = 4;
const MOST_PER_ACCOUNT = 16;
const MOST = 100;

export interface ShadowSendsOptions extends Outbound {
  onAttempted(event: ShadowAttempted, trace: string | undefined): void;
  onLeftOut(): void;
}

export class ShadowSends {
  private readonly places = new Places();

  constructor(private readonly options: ShadowSendsOptions) {}

  /** Begins to send the copy of an attempt, if there is to be one. Returns at once and never throws. */
  follow(
    job: AttemptJob & { trace: string | undefined },
    endpoint: KnownEndpoint,
    real: DeliveryAttempted,
  ): void {
    const { shadowUrl } = endpoint.state;
    if (shadowUrl === null || job.attempt !== 1) return;
    const release = this.places.take({
      [job.endpoint]: MOST_PER_ENDPOINT,
      [job.message.account]: MOST_PER_ACCOUNT,
      all: MOST,
    });
    if (release === null) {
      this.options.onLeftOut();
      return;
    }
    void this.send(job, endpoint, shadowUrl, real.startedAt)
      .then((event) => this.options.onAttempted(event, job.trace))
      // Only its secrets can be in the way, and then the real one has failed for the same reason.
      .catch(() => this.options.onLeftOut())
      .finally(release);
  }

  private async send(
    job: AttemptJob,
    endpoint: KnownEndpoint,
    url: string,
    signedAt: number,
  ): Promise<ShadowAttempted> {
    const state = { ...endpoint.state, url, oauth: null, clientCertificate: null };
    const shadow = endpoint.flagged('webhook-shadow', state);
    const made = await makeAttempt(this.options, job, shadow, () => undefined, signedAt);
    const { startedAt, outcome, error, response, address, timings } = made;
    return {
      type: 'ShadowAttempted',
      v: 1,
      ...deliveryKeyOf(job),
      ...{ startedAt, url, outcome, timings },
      ...(error === undefined ? {} : { error }),
      ...(response === undefined ? {} : { response }),
      ...(address === undefined ? {} : { address }),
    };
  }
}
