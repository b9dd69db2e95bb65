import {
  PublishBatch,
  PublishedBatch,
  PublishedMessage,
  publishLimits,
  PublishMessage,
} from '@posthaste/contracts';
import { type JsonObject, type OpenApiParts, Schemas } from '../http/openapi.js';
import { TO_PUBLISH } from './account-gate.js';
import { rawFormHeaders } from './publish-request.js';

/** What Nest's decorators would have said of the publish routes. */
export function publishOpenApi(): OpenApiParts['others'][number] {
  const schemas = new Schemas();
  const json = (schema: JsonObject) => ({ 'application/json': { schema } });
  const common = {
    tags: ['Messages'],
    'x-access': ['tenant', 'account'],
    'x-permission': TO_PUBLISH,
  };
  const parameters = [
    { name: 'account', in: 'path', required: true, schema: { type: 'string' } },
    {
      name: 'Idempotency-Key',
      in: 'header',
      description:
        'Repeating the request with the same key within 24 hours gets the same answer, with `idempotency-replayed: true`.',
      schema: { type: 'string', minLength: 1, maxLength: publishLimits.idempotencyKeyChars },
    },
  ];
  const answered = (schema: JsonObject, description: string) => ({ description, content: json(schema) });
  const published = schemas.of(PublishedMessage, 'output');
  return {
    paths: {
      '/v1/accounts/{account}/messages': {
        post: {
          ...common,
          operationId: 'publishMessage',
          summary: 'Publish a message to an account',
          description:
            'Answers 202 once the log holds the message on all its in-sync replicas. ' +
            'With the header `webhook-event-type` the body is the payload itself, of any content type (the raw form).',
          parameters: [...parameters, ...rawFormParameters()],
          requestBody: {
            required: true,
            content: {
              ...json(schemas.of(PublishMessage, 'input')),
              '*/*': { schema: { description: 'The payload, in the raw form.' } },
            },
          },
          responses: {
            200: answered(published, 'The `event_id` was published before: this is what it became.'),
            202: answered(published, 'Accepted.'),
            ...refusals(),
          },
        },
      },
      '/v1/accounts/{account}/messages/batch': {
        post: {
          ...common,
          operationId: 'publishBatch',
          summary: 'Publish up to 100 messages to an account',
          description: 'All or none is accepted. The answer lists the messages in the order of the request.',
          parameters,
          requestBody: { required: true, content: json(schemas.of(PublishBatch, 'input')) },
          responses: { 202: answered(schemas.of(PublishedBatch, 'output'), 'Accepted.'), ...refusals() },
        },
      },
    },
    schemas: schemas.components,
  };
}

function rawFormParameters(): JsonObject[] {
  const lists = 'Names with commas between.';
  const described = {
    eventType: 'Chooses the raw form, and names the event type.',
    channels: lists,
    tags: lists,
    eventId: 'As `event_id`.',
    orderingKey: 'As `ordering_key`.',
  };
  return Object.entries(rawFormHeaders).map(([field, name]) => ({
    name,
    in: 'header',
    description: described[field as keyof typeof rawFormHeaders],
    schema: { type: 'string' },
  }));
}

function refusals(): JsonObject {
  const codes = [400, 401, 403, 404, 408, 409, 413, 415, 422, 431, 503];
  return Object.fromEntries(codes.map((code) => [code, { $ref: '#/components/responses/Problem' }]));
}
