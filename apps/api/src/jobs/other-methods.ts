/** OpenAI's other methods of fine-tuning: refused by their name, before the fields that belong to them are called unknown. */
import type { FastifyInstance } from 'fastify';
import { badRequest } from '../http/api-error.js';

const instead: Readonly<Record<string, string>> = {
  dpo: 'Train on the preferred answers with {"type": "supervised"}.',
  reinforcement: 'There are no graders; train on answers that you chose with {"type": "supervised"}.',
};
const isObject = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null;

export function refuseOtherMethods(app: FastifyInstance): void {
  app.addHook('preValidation', async (request) => {
    const { config, url = '' } = request.routeOptions;
    if (config.action !== 'job.created' && config.action !== 'job.cloned' && !url.endsWith('/jobs/estimate')) return;
    const { body } = request;
    const method = isObject(body) ? body['method'] : undefined;
    const type = isObject(method) ? method['type'] : undefined;
    const advice = typeof type === 'string' && Object.hasOwn(instead, type) ? instead[type] : undefined;
    if (advice === undefined) return;
    const message = `The method '${String(type)}' is not offered here: only supervised fine-tuning is. ${advice}`;
    throw badRequest(message, 'unsupported_method', 'method.type');
  });
}
