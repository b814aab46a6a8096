/** Which methods each URL takes. Fastify answers 404 for a wrong method; a client is helped more by 405 with `Allow`. */
import type { FastifyInstance } from 'fastify';

export interface RouteTable {
  methodsOf(path: string): readonly string[];
}

/** Must be called before the routes are added. */
export function recordRoutes(app: FastifyInstance): RouteTable {
  const methods = new Map<string, Set<string>>();
  app.addHook('onRoute', ({ url, method }) => {
    const known = methods.get(url) ?? new Set<string>();
    for (const m of [method].flat()) known.add(m);
    methods.set(url, known);
  });
  return {
    methodsOf(path) {
      const parts = path.split('/');
      const found = new Set<string>();
      for (const [url, of] of methods) {
        const pattern = url.split('/');
        if (pattern.length === parts.length && pattern.every((p, i) => (p.startsWith(':') ? parts[i] !== '' : p === parts[i])))
          for (const m of of) found.add(m);
      }
      return [...found].sort();
    },
  };
}
