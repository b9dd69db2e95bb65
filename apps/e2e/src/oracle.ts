/**
 * Judges a run by three histories written down independently: what the publisher was told, what the receiver got, and
 * what the API says happened. It knows nothing of how the system works.
 *
 * | rule       | meaning                                                                                          |
 * |------------|--------------------------------------------------------------------------------------------------|
 * | lost       | an acknowledged message reached an endpoint it was routed to, or the API shows why it did not    |
 * | invented   | nothing arrives that nobody sent: the id, the body and the signature are the message's own        |
 * | duplicates | a delivery is answered 2xx more than once only where a fault explains it, and not more often      |
 * | lied       | the API calls a delivery delivered only if the receiver answered 2xx, and knows of every 2xx      |
 * | gap        | a delivery's attempts are numbered 1, 2, 3 ..., and its count is theirs                           |
 */
export interface PublishedEntry {
  idempotencyKey: string;
  bodySha256: string;
  /**
   * acknowledged: 202, with the id. refused: an answer that says nothing was accepted. indeterminate: no answer to
   * the last try; the message may exist or not.
   */
  result:
    | { kind: 'acknowledged'; message: string }
    | { kind: 'refused'; status: number }
    | { kind: 'indeterminate' };
}

export interface ReceivedEntry {
  endpoint: string;
  message: string;
  bodySha256: string;
  signatureIsValid: boolean;
  /** What it was answered. */
  status: number;
}

export interface DeliveryEntry {
  message: string;
  endpoint: string;
  status: string;
  attempts: { number: number; outcome: string }[];
  /** The API's own count. */
  attemptCount: number;
}

export interface Histories {
  published: PublishedEntry[];
  received: ReceivedEntry[];
  deliveries: DeliveryEntry[];
  /** The endpoints every message of the run was routed to. */
  endpoints: string[];
}

/** What the faults of the run can explain. */
export interface DuplicateBound {
  /** Of one delivery: one per fault. */
  perDelivery: number;
  /** Of all: what was in flight at each fault. */
  total: number;
}

export interface Violation {
  rule: 'lost' | 'invented' | 'duplicates' | 'lied' | 'gap';
  what: string;
}

export interface Verdict {
  violations: Violation[];
  /** 2xx answers beyond the first, of all deliveries. */
  duplicates: number;
}

const SETTLED = new Set(['delivered', 'exhausted', 'cancelled']);

export function judge(histories: Histories, bound: DuplicateBound): Verdict {
  const { published, deliveries } = histories;
  const successes = successesOf(histories);
  const counts = [...successes.values()];
  const duplicates = counts.reduce((sum, count) => sum + count - 1, 0);
  const known = new Map(deliveries.map((delivery) => [nameOf(delivery), delivery]));
  return {
    duplicates,
    violations: [
      ...published.flatMap((entry) => lossesOf(entry, histories.endpoints, successes, known)),
      ...inventionsOf(histories),
      ...duplicatesOf(successes, duplicates, bound),
      ...liesOf(successes, known),
      ...deliveries.flatMap(gapsOf),
    ],
  };
}

/** How often each delivery was answered 2xx. */
function successesOf({ received }: Histories): Map<string, number> {
  const successes = new Map<string, number>();
  for (const entry of received) {
    if (entry.status < 200 || entry.status > 299) continue;
    successes.set(nameOf(entry), (successes.get(nameOf(entry)) ?? 0) + 1);
  }
  return successes;
}

function lossesOf(
  { result }: PublishedEntry,
  endpoints: string[],
  successes: Map<string, number>,
  known: Map<string, DeliveryEntry>,
): Violation[] {
  if (result.kind !== 'acknowledged') return [];
  return endpoints.flatMap((endpoint): Violation[] => {
    const name = nameOf({ message: result.message, endpoint });
    const status = known.get(name)?.status;
    if (status === undefined) return [{ rule: 'lost', what: `${name} is not in the history` }];
    if (!SETTLED.has(status)) return [{ rule: 'lost', what: `${name} is still ${status}` }];
    if (status === 'delivered' && !successes.has(name)) {
      return [{ rule: 'lost', what: `${name} never arrived` }];
    }
    return [];
  });
}

function inventionsOf({ published, received, endpoints }: Histories): Violation[] {
  const bodyOf = new Map<string, string>();
  /** Bodies whose publish had no answer, with the id they came under: all the tries of one publish are one message. */
  const uncertain = new Map<string, string | null>();
  for (const { result, bodySha256 } of published) {
    if (result.kind === 'acknowledged') bodyOf.set(result.message, bodySha256);
    if (result.kind === 'indeterminate') uncertain.set(bodySha256, null);
  }
  return received.flatMap((entry): Violation[] => {
    const name = nameOf(entry);
    const violation = (what: string): Violation => ({ rule: 'invented', what: `${name} ${what}` });
    const body = bodyOf.get(entry.message);
    if (body === undefined) {
      const first = uncertain.get(entry.bodySha256);
      if (first === undefined) return [violation('was never accepted')];
      if (first !== null && first !== entry.message) return [violation(`was published once, as ${first}`)];
      uncertain.set(entry.bodySha256, entry.message);
    }
    if (body !== undefined && body !== entry.bodySha256) return [violation('has another body')];
    if (!entry.signatureIsValid) return [violation('has a wrong signature')];
    if (!endpoints.includes(entry.endpoint)) return [violation('went where it was not routed')];
    return [];
  });
}

function duplicatesOf(successes: Map<string, number>, total: number, bound: DuplicateBound): Violation[] {
  const often = [...successes]
    .filter(([, count]) => count - 1 > bound.perDelivery)
    .map(([name, count]): Violation => ({ rule: 'duplicates', what: `${name} arrived ${count} times` }));
  if (total <= bound.total) return often;
  return [...often, { rule: 'duplicates', what: `${total} in all, ${bound.total} can be explained` }];
}

function liesOf(successes: Map<string, number>, known: Map<string, DeliveryEntry>): Violation[] {
  const forged = [...known.values()]
    .filter((delivery) => delivery.status === 'delivered' && !successes.has(nameOf(delivery)))
    .map((delivery): Violation => ({ rule: 'lied', what: `${nameOf(delivery)} is called delivered` }));
  const denied = [...successes.keys()]
    .filter((name) => known.get(name)?.status !== 'delivered')
    .map((name): Violation => {
      const status = known.get(name)?.status ?? 'unknown';
      return { rule: 'lied', what: `${name} was answered 2xx and is called ${status}` };
    });
  return [...forged, ...denied];
}

function gapsOf(delivery: DeliveryEntry): Violation[] {
  const name = nameOf(delivery);
  const numbers = delivery.attempts.map(({ number }) => number).sort((a, b) => a - b);
  const gapless = numbers.every((number, index) => number === index + 1);
  const violations: Violation[] = [];
  if (!gapless) violations.push({ rule: 'gap', what: `${name} has the attempts ${numbers.join(', ')}` });
  if (numbers.length !== delivery.attemptCount) {
    const what = `${name} has ${numbers.length} attempts and claims ${delivery.attemptCount}`;
    violations.push({ rule: 'gap', what });
  }
  if (delivery.status === 'delivered' && !delivery.attempts.some(({ outcome }) => outcome === 'succeeded')) {
    violations.push({ rule: 'gap', what: `${name} is delivered without a successful attempt` });
  }
  return violations;
}

function nameOf({ message, endpoint }: { message: string; endpoint: string }): string {
  return `${message} at ${endpoint}`;
}
