import { type Scope, scopes } from '@rowsmith/contracts';
import { expect, test } from 'vitest';
import { covers } from './scopes.js';

const coveredBy = (...held: Scope[]) => scopes.filter((wanted) => covers(held, wanted));

test('what each scope allows', () => {
  expect(coveredBy('organization')).toEqual(scopes);
  expect(coveredBy('admin')).toEqual(scopes.filter((scope) => scope !== 'organization'));
  expect(coveredBy('write')).toEqual(scopes.filter((scope) => scope !== 'organization' && scope !== 'admin'));
  expect(coveredBy('read')).toEqual(['read', 'files:read', 'jobs:read', 'models:read', 'webhooks:read', 'metrics:read']);
  expect(coveredBy('files:write')).toEqual(['files:read', 'files:write']);
  expect(coveredBy('jobs:read')).toEqual(['jobs:read']);
  expect(coveredBy('files:read', 'jobs:write')).toEqual(['files:read', 'jobs:read', 'jobs:write']);
  expect(coveredBy()).toEqual([]);
});
