import {
  type Commit,
  type ConsumerOptions,
  EventLog,
  EventLogError,
  type LogAdmin,
  type LogConsumer,
  type LogProducer,
  type LogReader,
  partitionKey,
  type PartitionRef,
  PartitionWindow,
  type Position,
} from '@posthaste/event-log';

/**
 * A log as one dispatcher uses it, watched by a test: it knows what the dispatcher's commits said, and can die.
 *
 * alive -> dead: from `die` on nothing the dispatcher does reaches the log and nothing of the log reaches it, as when
 * its process was killed. Leaving the group still works, so that a test need not wait for a lease to run out.
 */
export class WatchedLog extends EventLog {
  readonly producer: LogProducer;
  readonly reader: LogReader;
  readonly admin: LogAdmin;
  /** Partitions this dispatcher was given, of any topic; and whether it was told to give any up. */
  readonly assigned: PartitionRef[] = [];
  isRevoked = false;
  failedAppends = 0;
  private readonly committed = new Map<string, PartitionWindow>();
  private readonly waiting = new Set<() => void>();
  private isDead = false;

  constructor(private readonly inner: EventLog) {
    super();
    this.reader = inner.reader;
    this.admin = inner.admin;
    this.producer = {
      append: async (records) => {
        this.mustLive();
        try {
          const positions = await inner.producer.append(records);
          this.mustLive();
          return positions;
        } catch (error) {
          this.failedAppends++;
          throw error;
        }
      },
      close: (timeoutMs) => inner.producer.close(timeoutMs),
    };
  }

  consumer(options: ConsumerOptions): LogConsumer {
    const consumer = this.inner.consumer(options);
    return {
      run: (handlers) =>
        consumer.run({
          onAssigned: (partitions) => {
            this.assigned.push(...partitions);
            return handlers.onAssigned(partitions);
          },
          onRecords: (batch) => {
            if (!this.isDead) handlers.onRecords(batch);
          },
          onRevoked: (partitions) => {
            this.isRevoked = true;
            return handlers.onRevoked(partitions);
          },
          onFatal: (error) => handlers.onFatal(error),
        }),
      pause: (partitions) => consumer.pause(partitions),
      resume: (partitions) => consumer.resume(partitions),
      seek: (positions) => consumer.seek(positions),
      commit: async (commits) => {
        this.mustLive();
        await consumer.commit(commits);
        this.remember(commits);
      },
      stop: () => consumer.stop(),
    };
  }

  die(): void {
    this.isDead = true;
  }

  /** Resolves when a commit has said of all of them that nothing is to be done. */
  async whenCommitted(positions: Position[]): Promise<void> {
    const missing = (): boolean => positions.some((position) => !this.isCommitted(position));
    while (missing()) await new Promise<void>((resolve) => this.waiting.add(resolve));
  }

  isCommitted(position: Position): boolean {
    return this.committed.get(partitionKey(position))?.has(position.offset) ?? false;
  }

  close(): Promise<void> {
    return this.inner.close();
  }

  private remember(commits: Commit[]): void {
    for (const commit of commits) {
      this.committed.set(partitionKey(commit), PartitionWindow.resume(commit.next, commit.metadata));
    }
    for (const resolve of this.waiting) resolve();
    this.waiting.clear();
  }

  private mustLive(): void {
    if (this.isDead) throw new EventLogError('log_closed', 'this process is dead');
  }
}
