import { randomBytes } from 'node:crypto';
import { newId } from '@rowsmith/contracts';
import { startPostgres } from '@rowsmith/testkit';
import { expect, test } from 'vitest';
import { createApiKeyStore, openDatabase, serviceFigures } from './index.js';

test('what monitoring reads of the tables: jobs, lag, attempts, workers, checkpoints, webhooks, pool', async () => {
  const postgres = await startPostgres();
  const database = openDatabase(await postgres.createDatabase());
  try {
    const { prisma } = database;
    const none = await serviceFigures(database, 30_000);
    expect(none).toMatchObject({ jobs: [], oldestQueuedSeconds: [], workersAlive: [], maxHeartbeatAgeSeconds: 0, maxWorkerSkewSeconds: 0 });
    expect(none.databasePool.total).toBeGreaterThan(0);

    const { projectId } = await createApiKeyStore(database).ensure({ hash: 'h', last4: '1234', name: 'test' });
    const ago = (seconds: number) => new Date(Date.now() - seconds * 1000);
    const job = (status: 'queued' | 'running', createdSecondsAgo: number, deviceClass: string | null) =>
      prisma.job.create({
        data: {
          ...{
            id: newId('job', randomBytes),
            projectId,
            status,
            model: 'm',
            seed: 1,
            trainingFile: 'f',
            hyperparameters: {},
            rowSparse: {},
          },
          ...{ spec: {}, createdAt: ago(createdSecondsAgo), notBefore: ago(createdSecondsAgo), deviceClass },
          ...(status === 'running' ? { heartbeatAt: ago(20) } : {}),
        },
      });
    await job('queued', 100, null);
    await job('queued', 50, null);
    const running = await job('running', 500, 'cpu');
    await prisma.attempt.create({ data: { jobId: running.id, epoch: 1, projectId, workerId: 'w', deviceClass: 'cpu', outcome: 'lost' } });
    await prisma.attempt.create({ data: { jobId: running.id, epoch: 2, projectId, workerId: 'w', deviceClass: 'cpu' } });
    const worker = { deviceClass: 'cpu', version: '1', host: 'h' };
    await prisma.worker.create({ data: { ...worker, id: 'alive', skewMs: -1500 } });
    await prisma.worker.create({ data: { ...worker, id: 'silent', heartbeatAt: ago(60), skewMs: 9000 } });
    await prisma.worker.create({ data: { ...worker, id: 'left', leftAt: ago(1) } });
    const checkpoint = { jobId: running.id, projectId, epoch: 1, manifestKey: 'k', manifestSha256: 's', metrics: {} };
    await prisma.checkpoint.create({ data: { ...checkpoint, id: 'c1', step: 1 } });
    await prisma.checkpoint.create({ data: { ...checkpoint, id: 'c2', step: 2, quarantinedAt: ago(1) } });
    const endpoint = { id: 'we', projectId, url: 'https://a.example', description: '', events: [], sealedSecret: 's' };
    await prisma.webhookEndpoint.create({ data: endpoint });
    const delivery = { endpointId: 'we', type: 't', body: '{}' };
    await prisma.webhookDelivery.create({ data: { ...delivery, id: 'd1', eventId: 'e1', nextAttemptAt: ago(5) } });
    await prisma.webhookDelivery.create({ data: { ...delivery, id: 'd2', eventId: 'e2', nextAttemptAt: ago(-500) } });
    await prisma.webhookDelivery.create({ data: { ...delivery, id: 'd3', eventId: 'e3', givenUpAt: ago(5) } });
    await prisma.webhookDelivery.create({ data: { ...delivery, id: 'd4', eventId: 'e4', deliveredAt: ago(5) } });

    const now = await serviceFigures(database, 30_000);
    expect(now.jobs).toEqual([
      { status: 'queued', deviceClass: 'any', count: 2 },
      { status: 'running', deviceClass: 'cpu', count: 1 },
    ]);
    expect(now.oldestQueuedSeconds).toEqual([{ deviceClass: 'any', seconds: expect.closeTo(100, -1) }]);
    expect(now.attempts).toEqual([
      { outcome: 'lost', deviceClass: 'cpu', count: 1 },
      { outcome: 'running', deviceClass: 'cpu', count: 1 },
    ]);
    expect(now.workersAlive).toEqual([{ deviceClass: 'cpu', count: 1 }]);
    expect(now.maxWorkerSkewSeconds).toBe(1.5);
    expect(now.maxHeartbeatAgeSeconds).toBeCloseTo(20, -1);
    expect(now.checkpoints).toEqual({ usable: 1, quarantined: 1 });
    expect(now.webhookDeliveries).toEqual({ due: 1, waiting: 1, givenUp: 1 });
  } finally {
    await database.close();
    await postgres.stop();
  }
});
