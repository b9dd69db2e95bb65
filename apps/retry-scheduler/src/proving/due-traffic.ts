import {
  type AcceptedMessage,
  type DeliveryEvent,
  type DueDelivery,
  type DueDeliveryPayload,
  deliveryId,
  newId,
  topics,
} from '@posthaste/contracts';
import { type EventLog, runProjection, type RunningProjection } from '@posthaste/event-log';
import type { SeededRandom } from '@posthaste/test-kit';
import type pg from 'pg';
import { dueIndexProjection, SCHEDULER_GROUP, scheduledTopics } from '../due-index/index.js';
import { ParkingLot } from '../parking/parking-lot.js';
import { HandOverPace, ReleaseLoop } from '../release/index.js';
import { attempted, deferred, deliveryOf, sampleMessage } from '../sample-facts.js';

/** Each with an account of its own, in every partition that a small installation has, more or less. */
const ENDPOINTS = Array.from({ length: 8 }, () => ({
  account: newId('account'),
  endpoint: newId('endpoint'),
}));
/** Answers take some time, and now and then long, so that some are under way whenever one looks. */
const ANSWER_MS = { usual: 60, slow: 1_500 };

/**
 * A live due index and its releases, on a real log and PostgreSQL, with everybody around them: messages whose first
 * attempts fail, a history that knows what was reported, and a dispatcher that answers what it is handed. It looks for
 * attempts that are handed over although they were before and have not come back since.
 */
export class DueTraffic {
  /** Handed over while they were under way, or had been made. There must be none. */
  readonly repeated: string[] = [];
  /** What is handed over is kept unanswered while this is set. */
  isHolding = false;
  private held: DueDelivery[] = [];
  private readonly underWay = new Set<string>();
  private readonly messages = new Map<string, { message: AcceptedMessage; position?: number }>();
  private readonly history = new Map<string, DueDeliveryPayload>();
  private positions = 0;
  private answers: Promise<unknown>[] = [];
  private readonly lot = new ParkingLot({ onRoom: () => this.releases.noticeRoom() });
  private releases: ReleaseLoop;
  private live!: RunningProjection;
  private following!: Awaited<ReturnType<EventLog['reader']['follow']>>;

  private constructor(
    private readonly log: EventLog,
    private readonly pool: pg.Pool,
    private readonly random: SeededRandom,
    private readonly onError: (error: unknown) => void,
  ) {
    this.releases = this.newReleases();
  }

  private newReleases(): ReleaseLoop {
    return new ReleaseLoop({
      pace: new HandOverPace(),
      pool: this.pool,
      producer: this.log.producer,
      payloads: async (ids) => ids.map((id) => this.history.get(id)).filter((entry) => entry !== undefined),
      lot: this.lot,
      versionOf: () => 0,
      opened: Promise.resolve(),
      onReleased: () => undefined,
      onFailure: this.onError,
    });
  }

  static async start(
    log: EventLog,
    pool: pg.Pool,
    random: SeededRandom,
    onError: (error: unknown) => void,
  ): Promise<DueTraffic> {
    const traffic = new DueTraffic(log, pool, random, onError);
    await traffic.open();
    return traffic;
  }

  private async open(): Promise<void> {
    this.following = await this.log.reader.follow(topics.due, (record) => {
      this.take(topics.due.decode(record));
    });
    this.live = await runProjection({
      log: this.log,
      group: SCHEDULER_GROUP,
      topics: scheduledTopics,
      store: dueIndexProjection(this.pool, {
        onEvent: (event) => this.lot.notice(event),
        onOwed: (earliest) => this.releases.noticeDue(earliest),
        onParked: (endpoints) => this.lot.park(endpoints),
        onUnreadable: (_, reason) => this.onError(new Error(reason)),
      }),
      onRetry: this.onError,
      onFatal: this.onError,
    });
    this.releases.start();
  }

  async stopReleases(): Promise<void> {
    await this.releases.stop();
  }

  startReleases(): void {
    this.releases = this.newReleases();
    this.releases.start();
  }

  async stop(): Promise<void> {
    await this.releases.stop();
    await this.following.close();
    await this.live.stop();
  }

  /** Messages that are owed something, or nothing any more; resolves when the live index has them. */
  async publish(count: number, dueInMs = 400): Promise<AcceptedMessage[]> {
    const messages = this.acceptAll(count);
    const at = (): number => Date.now() + this.random.below(dueInMs);
    await this.report(
      messages.map((message): DeliveryEvent => {
        const position = this.messages.get(deliveryOf(message))?.position;
        if (position !== undefined && this.random.below(3) > 0) {
          return deferred(message, 1, at() + 60_000, 'behind_key');
        }
        switch (this.random.below(4)) {
          case 0:
            return deferred(message, 1, at());
          case 1:
            return attempted(message, 1, { kind: 'delivered' });
          default:
            return attempted(message, 1, { kind: 'retry', at: at() });
        }
      }),
    );
    return messages;
  }

  /** Reports events of messages that were published; resolves when the live index has them. */
  async report(events: DeliveryEvent[]): Promise<void> {
    const records = events.map((event) => {
      const { message, position } = this.known(event.delivery);
      const entry = this.history.get(event.delivery);
      if (entry && event.type === 'DeliveryAttempted') {
        entry.attempts = event.attempt;
        if (event.decision.kind === 'delivered') entry.status = 'delivered';
      }
      if (entry && event.type === 'DeliveryCancelled') entry.status = 'cancelled';
      this.underWay.delete(`${event.delivery}/${event.attempt}`);
      this.held = this.held.filter((due) => this.keyOf(due) !== `${event.delivery}/${event.attempt}`);
      const ordering = position === undefined ? {} : { ordering: { key: `k${position % 4}`, position } };
      return { topic: topics.deliveries, ...topics.deliveries.encode(about(message, event, ordering)) };
    });
    await this.live.whenApplied(await this.log.producer.append(records));
  }

  /** All that was handed over has its answer, and the live index knows it. */
  async answerAll(): Promise<void> {
    this.isHolding = false;
    for (const due of this.held.splice(0)) this.answers.push(this.answer(due).catch(this.onError));
    while (this.answers.length > 0) await Promise.all(this.answers.splice(0));
  }

  /** Handed over, and not answered. */
  get unanswered(): string[] {
    return this.held.map((due) => this.deliveryOf(due)).sort();
  }

  isOrdered(delivery: string): boolean {
    return this.known(delivery).position !== undefined;
  }

  /** How many deliveries are not done. */
  get unsettled(): number {
    return [...this.history.values()].filter(({ status }) => status === 'retrying').length;
  }

  /** Messages nothing has happened to yet. */
  acceptAll(count: number): AcceptedMessage[] {
    return Array.from({ length: count }, () => this.accept());
  }

  private accept(): AcceptedMessage {
    const { account, endpoint } = this.random.pick(ENDPOINTS);
    const sample = sampleMessage(endpoint);
    const message = { ...sample, meta: { ...sample.meta, account } };
    const id = deliveryOf(message);
    const isOrdered = this.random.below(3) === 0;
    this.messages.set(id, { message, ...(isOrdered ? { position: this.positions++ } : {}) });
    const message_meta_json = JSON.stringify(message.meta);
    this.history.set(id, {
      id,
      status: 'retrying',
      attempts: 0,
      message_meta_json,
      payload: message.payload,
    });
    return message;
  }

  private take(due: DueDelivery): void {
    const key = this.keyOf(due);
    const attempts = this.history.get(this.deliveryOf(due))?.attempts ?? 0;
    if (this.underWay.has(key) || attempts >= due.meta.attempt) this.repeated.push(key);
    this.underWay.add(key);
    if (this.isHolding) this.held.push(due);
    else this.answers.push(this.answer(due).catch(this.onError));
  }

  private async answer(due: DueDelivery): Promise<void> {
    const delivery = this.deliveryOf(due);
    const { message, position } = this.known(delivery);
    const { attempt } = due.meta;
    const answerMs = this.random.below(this.random.below(10) === 0 ? ANSWER_MS.slow : ANSWER_MS.usual);
    await new Promise((resolve) => setTimeout(resolve, answerMs));
    const fate = this.random.below(10);
    const at = Date.now() + this.random.below(400);
    if (attempt < 5 && fate < 3) {
      await this.report([attempted(message, attempt, { kind: 'retry', at })]);
    } else if (attempt < 5 && fate < 5 && position === undefined) {
      await this.report([deferred(message, attempt, at)]);
    } else await this.report([attempted(message, attempt, { kind: 'delivered' })]);
  }

  private keyOf(due: DueDelivery): string {
    return `${this.deliveryOf(due)}/${due.meta.attempt}`;
  }

  private deliveryOf({ meta }: DueDelivery): string {
    return deliveryId(meta.id, meta.routes[0]?.endpoint ?? '');
  }

  private known(delivery: string): { message: AcceptedMessage; position?: number } {
    const found = this.messages.get(delivery);
    if (!found) throw new Error(`${delivery} is none of ours`);
    return found;
  }
}

/** Samples are all of one account. */
function about<E extends DeliveryEvent>({ meta }: AcceptedMessage, event: E, over: Partial<E>): E {
  return { ...event, account: meta.account, ...over };
}
