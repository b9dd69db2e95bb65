import type { Permission } from '@posthaste/contracts';
import type { ApiUnderTest } from './api-under-test.js';

/** The parts of `/openapi.json` that tests look at. */
export interface Document {
  openapi: string;
  paths: Record<string, Record<string, DocumentedOperation>>;
  components: Record<string, Record<string, unknown>>;
}

export interface DocumentedOperation {
  operationId: string;
  tags: string[];
  'x-access': string[];
  'x-permission'?: Permission;
  parameters: { name: string; in: string; required?: boolean; schema: unknown }[];
  requestBody?: { content: Record<string, { schema: unknown }> };
  responses: Record<string, unknown>;
}

export interface Operation extends DocumentedOperation {
  method: string;
  path: string;
}

export async function documentOf(api: ApiUnderTest): Promise<Document> {
  return api.as().ask('GET', '/openapi.json');
}

export function operationsOf({ paths }: Document): Operation[] {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      ...operation,
      method: method.toUpperCase(),
      path,
    })),
  );
}

/** The operation's path with its parameters filled in; of one that answers for ever, with what it refuses. */
export function pathOf({ path }: Operation, parameters: (name: string) => string): string {
  if (path === '/v1/tail') return `${path}?after=-`;
  return path.replace(/\{([a-z_]+)\}/g, (_, name: string) => parameters(name));
}
