/** Plain requests with the base URL and the key; for what openapi-fetch does not do: streams and forms. */
export interface Http {
  fetch(path: string, init?: RequestInit): Promise<Response>;
}

export function makeHttp(baseUrl: string, apiKey: string | null, fetchImpl: typeof globalThis.fetch): Http {
  return {
    fetch(path, init = {}) {
      const headers = new Headers(init.headers);
      if (apiKey !== null) headers.set('authorization', `Bearer ${apiKey}`);
      return fetchImpl(`${baseUrl}${path}`, { ...init, headers });
    },
  };
}
