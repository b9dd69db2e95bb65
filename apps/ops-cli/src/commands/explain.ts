import type { ExplainedEndpoint, Explanation } from '@posthaste/contracts';
import type { Command } from '../command.js';
import { type Cell, fieldsOf } from '../output.js';
import { listAnswer, pageOf } from './accounts.js';

export const explain: Command = {
  name: 'explain',
  says: 'say where a message went, and why not elsewhere',
  takes: { words: '<message>', least: 1, most: 1 },
  options: ['endpoint', 'limit', 'cursor'],
  run: async (given, context) => {
    const { words, options } = given;
    const path = `/v1/messages/${encodeURIComponent(words[0] ?? '')}/explain`;
    const query = { endpoint_id: options.endpoint, ...pageOf(given) };
    // Every page says what message it is about.
    const page = (await context.api().list<ExplainedEndpoint>(path, query)) as Explanation;
    const titles = [
      'endpoint',
      'went there',
      'rule',
      'wants',
      'got',
      'since',
      'by',
      'delivery',
      'attempts',
      'last',
    ];
    const answer = listAnswer(page, titles, cellsOf);
    return { ...answer, blocks: [fieldsOf(page.message), ...answer.blocks] };
  },
};

function cellsOf({ endpoint_id, routed, rule, wanted, got, since, delivery }: ExplainedEndpoint): Cell[] {
  return [
    endpoint_id,
    routed ? 'yes' : 'no',
    rule,
    wanted.join(',') || null,
    got.join(',') || null,
    since?.at,
    since?.actor,
    delivery?.status,
    delivery?.attempts,
    delivery?.last_error_class === 'http_status' ? delivery.last_status_code : delivery?.last_error_class,
  ];
}
