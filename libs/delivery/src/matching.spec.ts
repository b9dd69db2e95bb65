import { describe, expect, it } from '@jest/globals';
import { matches } from './index.js';

const open = { enabled: true, eventTypes: [], channels: [] };

describe('a message goes to an endpoint', () => {
  it.each([
    ['without filters', { type: 'a.b' }, open],
    ['without channels, though the message has some', { type: 'a.b', channels: ['x'] }, open],
    ['that lists its event type', { type: 'a.b' }, { ...open, eventTypes: ['c', 'a.b'] }],
    [
      'that shares one of its channels',
      { type: 'a', channels: ['x', 'y'] },
      { ...open, channels: ['y', 'z'] },
    ],
    [
      'of LinkUp, whatever its filters, when its account was disconnected',
      { type: 'disconnection' },
      { ...open, eventTypes: ['a'], channels: ['x'], profile: 'linkup' },
    ],
  ])('%s', (_, message, filter) => {
    expect(matches(message, filter)).toEqual({ matched: true });
  });
});

describe('a message does not go to an endpoint', () => {
  it.each([
    ['that is disabled', { type: 'a' }, { ...open, enabled: false }, 'enabled'],
    ['that lists other event types', { type: 'a.b' }, { ...open, eventTypes: ['a', 'a.b.c'] }, 'event_types'],
    ['that wants a channel, when it has none', { type: 'a' }, { ...open, channels: ['x'] }, 'channels'],
    ['that wants another channel', { type: 'a', channels: ['x'] }, { ...open, channels: ['y'] }, 'channels'],
    [
      'of another profile for a disconnection',
      { type: 'disconnection' },
      { ...open, eventTypes: ['a'], profile: 'ada' },
      'event_types',
    ],
    [
      'of LinkUp that is stopped, for a disconnection',
      { type: 'disconnection' },
      { ...open, enabled: false, profile: 'linkup' },
      'enabled',
    ],
    [
      'for the first rule that says no',
      { type: 'a', channels: ['x'] },
      { enabled: true, eventTypes: ['b'], channels: ['y'] },
      'event_types',
    ],
  ])('%s', (_, message, filter, rule) => {
    expect(matches(message, filter)).toMatchObject({ matched: false, rule });
  });
});
