import path from 'node:path';
import type { Stack } from '@posthaste/local-stack';
import { type Demo, type DemoDelivery, publishCommand } from './demo.js';

/** What a person sees once everything runs, in the order they will want it. */
export function panel(
  stack: Stack,
  demo: Demo,
  delivery: DemoDelivery | undefined,
  tookSeconds: number,
): string {
  const rows: [string, string][] = [
    ['API', stack.url],
    ['API docs', `${stack.url}/docs`],
    ['Play inbox', demo.inboxUrl],
    ['Database', stack.databaseUrl.replace(/:[^:@/]+@/, ':***@')],
    ['Logs', shortest(path.join(stack.dataDir, 'logs'))],
    ['Tenant', `Demo, ${demo.tenantId}`],
    ['Tenant key', demo.tenantKey],
    ['Ada key', demo.keys.ada],
    ['LinkUp key', demo.keys.linkup],
    ['Middesk key', demo.keys.middesk],
    ['Operator key', stack.operatorKey],
  ];
  const table = rows.map(([name, value]) => `  ${name.padEnd(14)}${value}`);
  return [
    '',
    `Posthaste is ready after ${tookSeconds.toFixed(1)} s.`,
    '',
    ...table,
    '',
    ...(delivery === undefined ? [] : [`  ${deliveryLine(delivery)}`, '']),
    '  Publish the next message and see it in the inbox:',
    '',
    ...publishCommand(stack.url, demo.tenantKey)
      .split('\n')
      .map((line) => `    ${line}`),
    '',
    'Ctrl-C stops everything; the next start finds its data again.',
    '',
  ].join('\n');
}

/** As seen from here, unless it lies elsewhere. */
function shortest(folder: string): string {
  const relative = path.relative(process.cwd(), folder);
  return relative.startsWith('..') ? folder : relative;
}

function deliveryLine({ messageId, deliveredInMs, signature, attempts }: DemoDelivery): string {
  const verdict = signature.valid
    ? 'its signature is valid'
    : `its signature is NOT valid: ${signature.reason}`;
  const history =
    attempts === undefined ? 'the history does not show it yet' : `the history shows ${attempts} attempt`;
  return `Message ${messageId} was delivered in ${deliveredInMs} ms; ${verdict}; ${history}.`;
}
