export { type GoalsOptions, measureGoals } from './chaos/measure-goals.js';
export { installedFakeTime } from './chaos/fake-time.js';
export { type ChaosOptions, type ChaosReport, runChaos } from './chaos/run-chaos.js';
export { type FaultProxy, startFaultProxy } from './fault-proxy.js';
export { freePort, runSql, startPostgres, type TestPostgres } from './postgres.js';
export { pythonWith } from './python-environment.js';
export { startRedis, type TestRedis } from './redis.js';
export { type S3Server, s3Servers, startS3, type TestS3 } from './s3.js';
export { addTinyModel } from './tiny-model.js';
