/** The OpenAPI document without any service behind it: routes are only described, so nothing of what they need is ever called. */
import { readFile } from 'node:fs/promises';
import { openApiDocument } from './http/openapi.js';
import { buildServer } from './server.js';

/** A port whose members fail when they are called. */
function uncalled<T extends object>(name: string): T {
  const fail = (member: string | symbol) => () => {
    throw new Error(`${name}.${String(member)} was called while the API was only described`);
  };
  return new Proxy<T>(Object.create(null) as T, { get: (_target, member) => fail(member) });
}

export async function apiVersion(): Promise<string> {
  const { version } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };
  return version;
}

export async function describe(): Promise<Record<string, unknown>> {
  const fail = () => {
    throw new Error('the API is only described');
  };
  const app = await buildServer(
    {
      files: uncalled('files'),
      uploads: uncalled('uploads'),
      jobs: uncalled('jobs'),
      keys: uncalled('keys'),
      projects: uncalled('projects'),
      audit: uncalled('audit'),
      dispatch: uncalled('dispatch'),
      notifier: uncalled('notifier'),
      objects: uncalled('objects'),
      models: uncalled('models'),
      tokens: uncalled('tokens'),
      trackers: new Set(),
      fleet: { workers: uncalled('workers'), workerSilenceMs: 0 },
      webhooks: { webhooks: uncalled('webhooks'), policy: { allowPrivate: false }, onDue: fail },
      onJobCreated: fail,
      probes: {},
      metricsText: fail,
    },
    { pepper: '', version: await apiVersion() },
  );
  try {
    return openApiDocument(app);
  } finally {
    await app.close();
  }
}
