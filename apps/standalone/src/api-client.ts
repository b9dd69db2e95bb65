/** The parts of the REST API the demo uses, as any customer of it would call them. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
    this.name = 'ApiError';
  }
}

export interface ApiClient {
  call<T>(method: string, path: string, body?: unknown): Promise<T>;
}

/** @param key sent as a bearer token; '' sends none. */
export function apiClient(baseUrl: string, key: string): ApiClient {
  return {
    call: async <T>(method: string, path: string, body?: unknown): Promise<T> => {
      const response = await fetch(`${baseUrl}${path}`, {
        method,
        headers: {
          ...(key === '' ? {} : { authorization: `Bearer ${key}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(40_000),
      });
      const text = await response.text();
      if (!response.ok)
        throw new ApiError(response.status, `${method} ${path} answered ${response.status}: ${text}`);
      return JSON.parse(text === '' ? 'null' : text) as T;
    },
  };
}
