export { freePort, startPostgres, type TestPostgres } from './postgres.js';
export { startRedis, type TestRedis } from './redis.js';
export { addTinyModel } from './tiny-model.js';
