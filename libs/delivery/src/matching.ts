/** The part of a message that decides where it goes. */
export interface Matchable {
  type: string;
  channels?: readonly string[] | undefined;
}

/** The part of an endpoint's configuration that decides what it gets. */
export interface Filter {
  enabled: boolean;
  /** Empty: every event type. */
  eventTypes: readonly string[];
  /** Empty: messages of any channel and of none. */
  channels: readonly string[];
  /** What else is known of the endpoint's wire profile; one may have events no filter keeps from it. */
  profile?: string;
}

/** The first rule that said no, with the two values it compared. */
export type Match =
  | { matched: true }
  | {
      matched: false;
      rule: 'enabled' | 'event_types' | 'channels';
      wanted: readonly string[];
      got: readonly string[];
    };

/**
 * What reaches every endpoint of a profile that is enabled, whatever its filters: who reads an account through LinkUp
 * must learn that it is disconnected (https://docs.linkupapi.com/api-reference/v2/webhooks/create).
 */
export function unfilterableBy(profile: string | undefined): string | undefined {
  return profile === 'linkup' ? 'disconnection' : undefined;
}

/**
 * Whether a message goes to an endpoint. Rules in order: the endpoint is enabled; its event types hold the message's; it
 * has no channels, or shares one with the message. A message without channels goes only to endpoints without them.
 */
export function matches(message: Matchable, filter: Filter): Match {
  if (!filter.enabled) return { matched: false, rule: 'enabled', wanted: ['enabled'], got: ['disabled'] };
  const match = filtered(message, filter);
  return !match.matched && message.type === unfilterableBy(filter.profile) ? { matched: true } : match;
}

function filtered(message: Matchable, filter: Filter): Match {
  if (filter.eventTypes.length > 0 && !filter.eventTypes.includes(message.type)) {
    return { matched: false, rule: 'event_types', wanted: filter.eventTypes, got: [message.type] };
  }
  const channels = message.channels ?? [];
  if (filter.channels.length > 0 && !channels.some((channel) => filter.channels.includes(channel))) {
    return { matched: false, rule: 'channels', wanted: filter.channels, got: channels };
  }
  return { matched: true };
}
