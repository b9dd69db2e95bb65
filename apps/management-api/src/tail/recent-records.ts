import { type DeliveryAttempted, type TailedAttempt, topics } from '@posthaste/contracts';
import type { StoredRecord } from '@posthaste/event-log';
import { attemptJson } from './attempt-json.js';

/**
 * What a reader of the log has read of late, for followers at whatever place in it: the bytes of every attempt, whosever
 * it is. It is made readable when the first one asks for it, once for all.
 */
export class RecentRecords {
  private entries: RecentRecord[] = [];
  /** How many of the first entries are gone already. */
  private gone = 0;
  /** The number of the oldest record that is there; numbers count what was ever added. */
  first = 0;
  bytes = 0;

  /** The number the next record will have. */
  get end(): number {
    return this.first + this.entries.length - this.gone;
  }

  add(record: RecentRecord): void {
    this.entries.push(record);
    this.bytes += record.bytes;
  }

  at(number: number): RecentRecord | undefined {
    return this.entries[this.gone + number - this.first];
  }

  /** Takes the oldest one out. */
  shift(): RecentRecord | undefined {
    const oldest = this.entries[this.gone];
    if (oldest === undefined) return undefined;
    this.gone++;
    this.first++;
    this.bytes -= oldest.bytes;
    // Moving all of them for each would cost more than keeping some room.
    if (this.gone > 1_000 && this.gone * 2 > this.entries.length) {
      this.entries = this.entries.slice(this.gone);
      this.gone = 0;
    }
    return oldest;
  }
}

/** What filters look at. */
export type AttemptFacts = Pick<
  DeliveryAttempted,
  'tenant' | 'account' | 'endpoint' | 'eventType' | 'outcome'
> & {
  status: TailedAttempt['delivery_status'];
  errorClass: string | undefined;
  statusCode: number | undefined;
};

const TYPE = Buffer.from('"type":"DeliveryAttempted"');
const TENANT = '"tenant":"';
/** Where a record says what and whose it is: its first members, ids all of them. */
const TYPE_WITHIN_BYTES = 64;
const TENANT_WITHIN_BYTES = 400;
const ENTRY_BYTES = 300;

/** True for an attempt; the rest of the topic is most of it while endpoints are down, and is never parsed. */
export function isAttempt({ value }: Pick<StoredRecord, 'value'>): boolean {
  return value.subarray(0, TYPE_WITHIN_BYTES).includes(TYPE);
}

export class RecentRecord {
  readonly bytes: number;
  private owner: string | undefined;
  private read: { facts: AttemptFacts; json: Buffer } | null | undefined;

  constructor(
    readonly partition: number,
    readonly offset: number,
    /** Null: only the place moves on by it. */
    private record: Pick<StoredRecord, 'key' | 'value' | 'appendedAt'> | null,
  ) {
    this.bytes = ENTRY_BYTES + (record?.value.length ?? 0);
  }

  get appendedAt(): number | null {
    return this.record?.appendedAt ?? null;
  }

  /** Rules out what is other tenants' by their bytes; only what `facts` say counts. */
  mayBe({ tenant, account }: { tenant: string; account: string | null }): boolean {
    if (this.record === null || (account !== null && this.record.key !== account)) return false;
    this.owner ??= ownerOf(this.record.value);
    return this.owner === tenant || this.owner === '';
  }

  /** Null for a record that cannot be read; history has put it aside. */
  attempt(): { facts: AttemptFacts; json: Buffer } | null {
    if (this.read === undefined) this.read = this.record && readAttempt(this.record.value);
    return this.read;
  }
}

/** The tenant; empty where it cannot be told without reading all of the record. */
function ownerOf(value: Buffer): string {
  const head = value.toString('latin1', 0, TENANT_WITHIN_BYTES);
  const at = head.indexOf(TENANT);
  const end = at < 0 ? -1 : head.indexOf('"', at + TENANT.length);
  return end < 0 ? '' : head.slice(at + TENANT.length, end);
}

function readAttempt(value: Buffer): { facts: AttemptFacts; json: Buffer } | null {
  let event;
  try {
    event = topics.deliveries.decode({ value });
  } catch {
    return null;
  }
  if (event.type !== 'DeliveryAttempted') return null;
  const { tenant, account, endpoint, eventType, outcome, decision, error, response } = event;
  const status = decision.kind === 'retry' ? 'retrying' : decision.kind;
  const [errorClass, statusCode] = [error?.class, response?.status];
  return {
    facts: { tenant, account, endpoint, eventType, outcome, status, errorClass, statusCode },
    json: attemptJson(event, status),
  };
}
