import { type NewEndpoint, type SeenEndpoint, waitFor } from '@posthaste/test-kit';
import type { Bench, BenchStack } from '../product/bench-stack.js';
import type { Way } from './load.js';
import type { Behaviour, PublishTarget } from '../traffic/protocol.js';
import type { WorkerProcess } from '../traffic/worker-process.js';

/** Accounts whose endpoints share one server. */
export interface Party {
  receiver: string;
  accounts: string[];
  endpoints: SeenEndpoint[];
  /** One per endpoint: a message to it is one delivery. */
  targets: PublishTarget[];
}

interface PartyWish {
  name: string;
  accounts: number;
  endpointsEach: number;
  behaviour: Behaviour;
  /** Of the retries; none of them when empty, the default policy when absent. */
  scheduleSeconds?: number[];
}

const AT_ONCE = 8;
/** Longer than a breaker stays open, and what is put off is put off. */
const LEAVE_LIMIT_MS = 120_000;

export async function invite(stack: BenchStack, receiver: WorkerProcess, wish: PartyWish): Promise<Party> {
  const { name, accounts, endpointsEach, behaviour, scheduleSeconds } = wish;
  const url = await receiver.ask<string>({ kind: 'listen', behaviour });
  const party: Party = { receiver: url, accounts: [], endpoints: [], targets: [] };
  for (let i = 0; i < accounts; i++) {
    const account = `${name}-${i + 1}`;
    await stack.tenant.putAccount(account);
    party.accounts.push(account);
    const types = Array.from({ length: endpointsEach }, (_, n) => `bench.sent_${n + 1}`);
    const endpoints = await inBatches(types, (type) =>
      stack.tenant.createEndpoint(account, {
        url,
        event_types: [type],
        ...(scheduleSeconds === undefined ? {} : { retry_policy: retryPolicyOf(scheduleSeconds) }),
      }),
    );
    party.endpoints.push(...endpoints);
    party.targets.push(...types.map((type) => stack.target(account, type)));
  }
  return party;
}

function retryPolicyOf(scheduleSeconds: number[]): NewEndpoint['retry_policy'] {
  return scheduleSeconds.length === 0 ? { preset: 'none' } : { schedule_seconds: scheduleSeconds };
}

/** To all accounts of a party of its own, in turn. */
export async function wayTo({ workers, stack }: Bench, wish: PartyWish): Promise<Way> {
  return wayOf(await invite(stack, workers.receiver, wish), stack);
}

export function wayOf({ targets, receiver }: Party, { headers }: BenchStack): Way {
  return { targets, headers, receiver, endpoints: 1 };
}

/**
 * Deletes its endpoints, cuts what hangs, and waits until nothing is in flight or put off for them any more, so that a run does not work
 * on what the one before left behind. A few retries minutes away stay; they are cancelled when they are due.
 */
export async function takeLeave(stack: BenchStack, receiver: WorkerProcess, party: Party): Promise<void> {
  await inBatches(party.endpoints, ({ id }) => stack.tenant.deleteEndpoint(id));
  await receiver.ask({ kind: 'behave', receiver: party.receiver, behaviour: 'refuse' });
  const gone = async (): Promise<boolean> => {
    const left = await inBatches(party.accounts, (account) => isBusy(stack, account));
    return !left.includes(true);
  };
  try {
    await waitFor(gone, { deadlineMs: LEAVE_LIMIT_MS, everyMs: 1_000 });
  } catch {
    console.log(`deliveries of ${party.accounts[0] ?? ''} are still under way, and are part of the next run`);
  }
}

/** Whether an attempt is owed that has not been made at all. */
export async function isBusy({ tenant }: BenchStack, account: string): Promise<boolean> {
  for (const status of ['pending', 'deferred']) {
    const path = `/v1/accounts/${account}/deliveries?status=${status}&limit=1`;
    const { data } = await tenant.rest.ask<{ data: unknown[] }>('GET', path);
    if (data.length > 0) return true;
  }
  return false;
}

async function inBatches<T, R>(all: T[], use: (one: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let from = 0; from < all.length; from += AT_ONCE) {
    results.push(...(await Promise.all(all.slice(from, from + AT_ONCE).map(use))));
  }
  return results;
}
