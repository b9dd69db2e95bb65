import type { Lane, LaneJob } from './lane.js';

/** How many places of the process one account may hold, and one server (scheme, host and port). */
export interface TurnRules {
  perAccount: number;
  perOrigin: number;
}

interface Account<J extends LaneJob> {
  readonly id: string;
  inFlight: number;
  /** Its lanes with something to start, in turn. */
  ready: Set<Lane<J>>;
}

interface Origin<J extends LaneJob> {
  inFlight: number;
  /** Lanes that could start something, had their server a place. */
  blocked: Set<Lane<J>>;
}

/**
 * Whose turn it is: accounts take turns, and within an account its lanes do, one job each. So an account with a thousand
 * lanes gets no more than one with a single lane, and neither it nor a server that many accounts point at can hold all
 * places of the process.
 *
 *   a lane: out -> ready (offered) -> out (taken, or nothing to start), or ready -> blocked (its server is full) -> ready
 */
export class Turns<J extends LaneJob> {
  private readonly accounts = new Map<string, Account<J>>();
  private readonly origins = new Map<string, Origin<J>>();
  /** Accounts with a ready lane and a place, in turn. */
  private readonly line = new Set<Account<J>>();

  constructor(private readonly rules: TurnRules) {}

  offer(lane: Lane<J>): void {
    const account = this.account(lane.account);
    account.ready.add(lane);
    if (account.inFlight < this.rules.perAccount) this.line.add(account);
  }

  withdraw(lane: Lane<J>): void {
    const account = this.accounts.get(lane.account);
    account?.ready.delete(lane);
    if (account) this.forgetIfIdle(account);
    this.origins.get(lane.origin)?.blocked.delete(lane);
    lane.isServerFull = false;
  }

  /** The lane whose turn it is; it is out of the line then. */
  next(): Lane<J> | undefined {
    for (const account of this.line) {
      this.line.delete(account);
      for (const lane of account.ready) {
        account.ready.delete(lane);
        const origin = this.origin(lane.origin);
        if (origin.inFlight >= this.rules.perOrigin) {
          origin.blocked.add(lane);
          lane.isServerFull = true;
          continue;
        }
        if (account.ready.size > 0) this.line.add(account);
        return lane;
      }
      this.forgetIfIdle(account);
    }
    return undefined;
  }

  /** A job of the lane begins; it holds a place of its server until answered, one of its account until recorded. */
  begin({ account: id, origin }: { account: string; origin: string }): void {
    const account = this.account(id);
    account.inFlight++;
    if (account.inFlight >= this.rules.perAccount) this.line.delete(account);
    this.origin(origin).inFlight++;
  }

  answered(origin: string): void {
    const place = this.origins.get(origin);
    if (!place) return;
    place.inFlight--;
    const [lane] = place.blocked;
    if (lane) {
      place.blocked.delete(lane);
      lane.isServerFull = false;
      this.offer(lane);
    }
    if (place.inFlight === 0 && place.blocked.size === 0) this.origins.delete(origin);
  }

  recorded(id: string): void {
    const account = this.accounts.get(id);
    if (!account) return;
    account.inFlight--;
    if (account.ready.size > 0) this.line.add(account);
    else this.forgetIfIdle(account);
  }

  clear(): void {
    this.line.clear();
    for (const account of this.accounts.values()) account.ready.clear();
    for (const origin of this.origins.values()) origin.blocked.clear();
  }

  private account(id: string): Account<J> {
    let account = this.accounts.get(id);
    if (!account) {
      account = { id, inFlight: 0, ready: new Set() };
      this.accounts.set(id, account);
    }
    return account;
  }

  private origin(name: string): Origin<J> {
    let origin = this.origins.get(name);
    if (!origin) {
      origin = { inFlight: 0, blocked: new Set() };
      this.origins.set(name, origin);
    }
    return origin;
  }

  private forgetIfIdle(account: Account<J>): void {
    if (account.inFlight > 0 || account.ready.size > 0) return;
    this.line.delete(account);
    this.accounts.delete(account.id);
  }
}
