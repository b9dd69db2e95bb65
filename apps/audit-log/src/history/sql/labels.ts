import type { ListMessagesRequest } from '@posthaste/contracts';
import type { ListQuery } from './list-page.js';

/**
 * Looks for messages of a channel or tag. Both are in the message's meta only, as nothing is to be paid for them when a
 * message is projected; its text is searched before it is read as JSON, which few of the looked at are then.
 *
 * @param whose the message `m` of the row that is listed; absent, it is listed itself
 */
export function labelsOfMessage(
  query: ListQuery,
  { channel, tag }: Pick<ListMessagesRequest, 'channel' | 'tag'>,
  whose?: string,
): void {
  for (const { kind, label } of [
    { kind: 'channels', label: channel },
    { kind: 'tags', label: tag },
  ]) {
    if (label === undefined) continue;
    const has = (meta: string): string =>
      `strpos(${meta}, ?) > 0 and history.is_labelled(${meta}, '${kind}', ?)`;
    const values = [JSON.stringify(label), label];
    if (whose === undefined) query.search(has('meta'), ...values);
    else query.dearSearch(`(select ${has('m.meta')} from ${whose})`, ...values);
  }
}
