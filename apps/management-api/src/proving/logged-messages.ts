import { type AcceptedMessage, topics } from '@posthaste/contracts';
import type { EventLog } from '@posthaste/event-log';

export interface LoggedMessage extends AcceptedMessage {
  key: string;
}

/** Every record of the topic `messages`, as it lies in the log now. */
export async function loggedMessages(log: EventLog): Promise<LoggedMessage[]> {
  const found: LoggedMessage[] = [];
  const following = await log.reader.follow(topics.messages, (record) => {
    found.push({ key: record.key, ...topics.messages.decode(record) });
  });
  await following.caughtUp;
  await following.close();
  return found;
}

/** The records of one message; more than one when it has many routes, or was appended again under its id. */
export async function recordsOf(log: EventLog, id: string): Promise<LoggedMessage[]> {
  return (await loggedMessages(log)).filter(({ meta }) => meta.id === id);
}
