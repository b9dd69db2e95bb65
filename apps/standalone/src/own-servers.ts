import { connect } from 'node:net';
import { LocalStackError } from '@posthaste/local-stack';

const ANSWER_TIMEOUT_MS = 5_000;

/**
 * The servers a user brings along must be there before anything is started: a service that cannot reach them says so
 * only in its log, after a while, and three others say it too. Whether they let us in is for the services to find out.
 */
export async function assertOwnServersAnswer(
  databaseUrl: string | undefined,
  brokers: string[],
): Promise<void> {
  if (databaseUrl !== undefined) {
    const { hostname, port } = new URL(databaseUrl);
    const place = { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 5432) };
    const problem = await problemAt(place);
    if (problem !== undefined) {
      throw new LocalStackError(
        'not_ready',
        `PostgreSQL does not answer at ${place.host}:${place.port}, where DATABASE_URL points: ${problem}`,
        'start it, correct DATABASE_URL, or unset it to use the embedded one',
      );
    }
  }
  if (brokers.length === 0) return;
  const problems = await Promise.all(brokers.map((broker) => problemAt(placeOf(broker))));
  // One is enough to learn of the others.
  if (problems.includes(undefined)) return;
  const said = brokers.map((broker, index) => `${broker}: ${problems[index]}`).join('; ');
  throw new LocalStackError(
    'not_ready',
    `Kafka does not answer where KAFKA_BROKERS points (${said})`,
    'start it, correct KAFKA_BROKERS (host:port[,host:port]), or bring a broker along: npm run start:kafka',
  );
}

function placeOf(broker: string): { host: string; port: number } | undefined {
  const parts = /^\[?(?<host>[^\]]+?)\]?:(?<port>\d{1,5})$/.exec(broker.trim())?.groups;
  const port = Number(parts?.['port']);
  return parts === undefined || port < 1 || port > 65_535 ? undefined : { host: parts['host'] ?? '', port };
}

/** Why nothing can be reached there, in a few words. */
function problemAt(place: { host: string; port: number } | undefined): Promise<string | undefined> {
  if (place === undefined) return Promise.resolve('is not host:port');
  return new Promise((answer) => {
    const socket = connect(place);
    const settle = (problem: string | undefined): void => {
      socket.destroy();
      answer(problem);
    };
    socket.setTimeout(ANSWER_TIMEOUT_MS, () => settle(`nothing within ${ANSWER_TIMEOUT_MS / 1000} s`));
    socket.once('connect', () => settle(undefined));
    socket.once('error', (error: NodeJS.ErrnoException) => settle(error.code ?? error.message));
  });
}
