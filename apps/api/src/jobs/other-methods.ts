/** OpenAI's other methods of fine-tuning: refused by their name, before the fields that belong to them are called unknown. */
import type { FastifyInstance } from 'fastify';
import { badRequest } from '../http/api-error.js';

const others = ['dpo', 'reinforcement'];
const isObject = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null;

export function refuseOtherMethods(app: FastifyInstance): void {
  app.addHook('preValidation', async (request) => {
    const { config, url = '' } = request.routeOptions;
    if (config.action !== 'job.created' && config.action !== 'job.cloned' && !url.endsWith('/jobs/estimate')) return;
    const { body } = request;
    const method = isObject(body) ? body['method'] : undefined;
    const type = isObject(method) ? method['type'] : undefined;
    if (typeof type !== 'string' || !others.includes(type)) return;
    const message = `The method '${type}' is not offered here: only supervised fine-tuning is. Train on the preferred answers with {"type": "supervised"}.`;
    throw badRequest(message, 'unsupported_method', 'method.type');
  });
}
