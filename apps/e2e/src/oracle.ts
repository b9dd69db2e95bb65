/**
 * Judges a run by three histories written down independently: what the publisher was told, what the receiver got, and
 * what the API says happened. It knows nothing of how the system works.
 *
 * | rule       | meaning                                                                                           |
 * |------------|---------------------------------------------------------------------------------------------------|
 * | lost       | an acknowledged message reached an endpoint it was routed to, or the API shows why it did not     |
 * | invented   | nothing arrives that nobody sent: the id, the body and the signature are the message's own        |
 * | duplicates | an attempt is made again only where a crash of its sender explains it, once for each crash; and   |
 * |            | after a success only where somebody asked for it                                                  |
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
  /** ms since 1970. */
  at: number;
}

export interface DeliveryEntry {
  id: string;
  message: string;
  endpoint: string;
  status: string;
  attempts: { number: number; outcome: string; isRequested?: boolean }[];
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

/** A sender that was killed, ms since 1970: from the signal until another one was ready. */
export interface Crash {
  from: number;
  to: number;
}

export interface Violation {
  rule: 'lost' | 'invented' | 'duplicates' | 'lied' | 'gap';
  what: string;
}

export interface Verdict {
  violations: Violation[];
  /** 2xx answers beyond the first, of all deliveries. */
  duplicates: number;
  /** Deliveries of which an attempt was made again, whatever it was answered. */
  repeated: DeliveryEntry[];
}

const SETTLED = new Set(['delivered', 'exhausted', 'cancelled']);

export function judge(histories: Histories, crashes: Crash[]): Verdict {
  const { published, deliveries } = histories;
  const requests = requestsByDelivery(histories);
  const successes = successesOf(requests);
  const known = new Map(deliveries.map((delivery) => [nameOf(delivery), delivery]));
  return {
    duplicates: [...successes.values()].reduce((sum, count) => sum + count - 1, 0),
    repeated: deliveries.filter(
      (delivery) => (requests.get(nameOf(delivery)) ?? []).length > delivery.attempts.length,
    ),
    violations: [
      ...published.flatMap((entry) => lossesOf(entry, histories.endpoints, successes, known)),
      ...inventionsOf(histories),
      ...deliveries.flatMap((delivery) =>
        duplicatesOf(delivery, requests.get(nameOf(delivery)) ?? [], crashes),
      ),
      ...liesOf(successes, known),
      ...deliveries.flatMap(gapsOf),
    ],
  };
}

function requestsByDelivery({ received }: Histories): Map<string, ReceivedEntry[]> {
  const requests = new Map<string, ReceivedEntry[]>();
  for (const entry of received) {
    const earlier = requests.get(nameOf(entry));
    if (earlier) earlier.push(entry);
    else requests.set(nameOf(entry), [entry]);
  }
  return requests;
}

/** How often each delivery was answered 2xx. */
function successesOf(requests: Map<string, ReceivedEntry[]>): Map<string, number> {
  const counts = [...requests].map(([name, entries]) => [name, entries.filter(isSuccess).length] as const);
  return new Map(counts.filter(([, count]) => count > 0));
}

function isSuccess({ status }: ReceivedEntry): boolean {
  return status >= 200 && status <= 299;
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

/**
 * Requests beyond the numbered attempts were attempts made again under a number they had before. A crash explains one
 * of each number, if the endpoint was asked before it and after it; and nothing else explains a second 2xx, but that
 * somebody asked for one more.
 */
function duplicatesOf(delivery: DeliveryEntry, requests: ReceivedEntry[], crashes: Crash[]): Violation[] {
  const name = nameOf(delivery);
  const repeats = Math.max(0, requests.length - delivery.attempts.length);
  const times = requests.map(({ at }) => at);
  const between = crashes.filter(({ from, to }) => Math.min(...times) <= to && Math.max(...times) >= from);
  const again = Math.max(0, requests.filter(isSuccess).length - 1);
  const askedFor = delivery.attempts.filter(({ isRequested }) => isRequested).length;
  const violation = (what: string): Violation => ({ rule: 'duplicates', what: `${name} ${what}` });
  const violations: Violation[] = [];
  if (repeats > between.length * delivery.attempts.length) {
    const asked = `${requests.length} requests for ${delivery.attempts.length} attempts`;
    violations.push(violation(`had ${asked} over ${between.length} crashes`));
  }
  if (again > repeats + askedFor)
    violations.push(violation(`was answered 2xx under ${again + 1} attempt numbers`));
  return violations;
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
