import type { Connection } from './connection.js';

/** What the database knows of topics. Their ids and partition counts never change, so a found one is kept for good. */
export interface KnownTopic {
  id: number;
  name: string;
  partitions: number;
}

const LOAD_TIMEOUT_MS = 5_000;

export class TopicCatalog {
  readonly #byName = new Map<string, KnownTopic>();
  readonly #byId = new Map<number, KnownTopic>();
  readonly #connection: Connection;
  #loading: Promise<void> | undefined;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  get(name: string): KnownTopic | undefined {
    return this.#byName.get(name);
  }

  /** For ids that came from the database: the topic was found before. */
  byId(id: number): KnownTopic | undefined {
    return this.#byId.get(id);
  }

  /** Asks the database when one of the names is not known yet; answers those that exist. */
  async find(names: string[]): Promise<KnownTopic[]> {
    if (names.some((name) => !this.#byName.has(name))) {
      this.#loading ??= this.#load().finally(() => {
        this.#loading = undefined;
      });
      await this.#loading;
    }
    return names.map((name) => this.#byName.get(name)).filter((topic) => topic !== undefined);
  }

  async #load(): Promise<void> {
    const exists = { text: `select to_regclass('log.topic') is not null` };
    const [[present]] = (await this.#connection.query<[boolean]>(exists, LOAD_TIMEOUT_MS)) as [[boolean]];
    if (!present) return;
    const rows = await this.#connection.query<[number, string, number]>(
      { text: 'select id, name, partitions from log.topic' },
      LOAD_TIMEOUT_MS,
    );
    for (const [id, name, partitions] of rows) {
      const topic = { id, name, partitions };
      this.#byName.set(name, topic);
      this.#byId.set(id, topic);
    }
  }
}
