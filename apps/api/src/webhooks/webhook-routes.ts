import { randomBytes } from 'node:crypto';
import {
  CreateWebhookEndpointBody,
  listOf,
  newId,
  RotateWebhookSecretBody,
  UpdateWebhookEndpointBody,
  WebhookDeliveryObject,
  WebhookEndpointObject,
} from '@rowsmith/contracts';
import type { WebhookStore } from '@rowsmith/core';
import { checkUrl, DestinationError, type DestinationPolicy, newSigningSecret } from '@rowsmith/webhooks';
import { Type } from 'typebox';
import { badRequest, notFound, notPossible } from '../http/api-error.js';
import { projectOf } from '../http/auth.js';
import { listOfItems, pageQuery } from '../http/paging.js';
import { failures, json, named } from '../http/replies.js';
import type { Routes } from '../http/routes.js';
import { sealSecret } from './seal-secret.js';
import { toDeliveryObject, toEndpointObject } from './webhook-objects.js';

export interface WebhookDeps {
  readonly webhooks: WebhookStore;
  readonly policy: DestinationPolicy;
  readonly pepper: string;
  /** Something is due: the loop should look now. */
  readonly onDue: () => void;
}

const maxEndpoints = 20;
const defaultEvents = ['fine_tuning.job.succeeded', 'fine_tuning.job.failed', 'fine_tuning.job.cancelled'] as const;
const dayInSeconds = 86_400;
const Params = Type.Object({ id: Type.String({ minLength: 1, maxLength: 128 }) }, { additionalProperties: false });
const Endpoint = named(WebhookEndpointObject, 'WebhookEndpoint');
const Delivery = named(WebhookDeliveryObject, 'WebhookDelivery');
const Query = Type.Object(pageQuery(20, 100), { additionalProperties: false });
const tags = ['webhooks'];

const noSuchEndpoint = (id: string) => notFound(`No such webhook endpoint: '${id}'.`, 'webhook_endpoint_not_found', 'id');

function destination(url: string, policy: DestinationPolicy): string {
  try {
    return checkUrl(url, policy).href;
  } catch (error) {
    if (error instanceof DestinationError) throw badRequest(`The webhook URL is not allowed: ${error.message}.`, 'invalid_value', 'url');
    throw error;
  }
}

export const webhookRoutes: Routes<WebhookDeps> = (
  app,
  { webhooks, policy, pepper, onDue },
  { webhookEndpoints: path, webhookDeliveries },
) => {
  app.post(
    path,
    {
      config: { scope: 'webhooks:write', action: 'webhook_endpoint.created' },
      schema: {
        ...{ tags, summary: 'Tell a server of job events', body: CreateWebhookEndpointBody },
        description: 'Messages are signed as Standard Webhooks: `client.webhooks.unwrap` of the openai SDK verifies them with the secret.',
        response: { 200: json('The endpoint, with its secret this one time', Endpoint), ...failures(413, 415) },
      },
    },
    async (request) => {
      const { url, events, description = '' } = request.body;
      const secret = newSigningSecret();
      const endpoint = await webhooks.create(
        {
          id: newId('webhookEndpoint', randomBytes),
          projectId: projectOf(request),
          url: destination(url, policy),
          events: events ?? [...defaultEvents],
          description,
          sealedSecret: sealSecret(pepper, secret),
        },
        maxEndpoints,
      );
      if (endpoint === 'full')
        throw notPossible(`A project can have ${maxEndpoints} webhook endpoints; delete one first.`, 'limit_reached');
      return { ...toEndpointObject(endpoint), secret };
    },
  );

  app.get(
    path,
    {
      config: { scope: 'webhooks:read' },
      schema: {
        ...{ tags, summary: 'List webhook endpoints', querystring: Query },
        response: { 200: json('Endpoints, newest first', listOf(Endpoint)), ...failures() },
      },
    },
    async (request) => {
      const { after, limit = 20 } = request.query;
      return listOfItems(await webhooks.list(projectOf(request), { after, limit }), toEndpointObject);
    },
  );

  app.get(
    `${path}/:id`,
    {
      config: { scope: 'webhooks:read' },
      schema: {
        ...{ tags, summary: 'Get a webhook endpoint', params: Params },
        response: { 200: json('The endpoint', Endpoint), ...failures(404) },
      },
    },
    async (request) => {
      const endpoint = await webhooks.get(projectOf(request), request.params.id);
      if (endpoint === null) throw noSuchEndpoint(request.params.id);
      return toEndpointObject(endpoint);
    },
  );

  app.post(
    `${path}/:id`,
    {
      config: { scope: 'webhooks:write', action: 'webhook_endpoint.updated' },
      schema: {
        ...{ tags, summary: 'Change a webhook endpoint', params: Params, body: UpdateWebhookEndpointBody },
        response: { 200: json('The endpoint', Endpoint), ...failures(404, 413, 415) },
      },
    },
    async (request) => {
      const { url, ...change } = request.body;
      const { id } = request.params;
      const checked = url === undefined ? {} : { url: destination(url, policy) };
      const endpoint = await webhooks.update(projectOf(request), id, { ...change, ...checked });
      if (endpoint === null) throw noSuchEndpoint(id);
      return toEndpointObject(endpoint);
    },
  );

  app.delete(
    `${path}/:id`,
    {
      config: { scope: 'webhooks:write', action: 'webhook_endpoint.deleted' },
      schema: {
        ...{ tags, summary: 'Delete a webhook endpoint and its log', params: Params },
        response: {
          200: json('Deleted', Type.Object({ id: Type.String(), object: Type.Literal('webhook_endpoint'), deleted: Type.Boolean() })),
          ...failures(404),
        },
      },
    },
    async (request) => {
      const { id } = request.params;
      if (!(await webhooks.delete(projectOf(request), id))) throw noSuchEndpoint(id);
      return { id, object: 'webhook_endpoint' as const, deleted: true };
    },
  );

  app.post(
    `${path}/:id/rotate_secret`,
    {
      config: { scope: 'webhooks:write', action: 'webhook_endpoint.secret_rotated' },
      schema: {
        ...{
          tags,
          summary: 'Give a webhook endpoint a new secret',
          params: Params,
          body: Type.Union([RotateWebhookSecretBody, Type.Null()]),
        },
        description: 'Until the overlap ends messages carry a signature of each secret.',
        response: { 200: json('The endpoint, with its new secret this one time', Endpoint), ...failures(404, 413, 415) },
      },
    },
    async (request) => {
      const { id } = request.params;
      const secret = newSigningSecret();
      const overlap = request.body?.overlap_seconds ?? dayInSeconds;
      const endpoint = await webhooks.rotate(projectOf(request), id, sealSecret(pepper, secret), overlap);
      if (endpoint === null) throw noSuchEndpoint(id);
      return { ...toEndpointObject(endpoint), secret };
    },
  );

  app.post(
    `${path}/:id/test`,
    {
      config: { scope: 'webhooks:write', action: 'webhook_endpoint.tested' },
      schema: {
        ...{ tags, summary: 'Send a test message', params: Params },
        response: { 200: json('Its delivery', Delivery), ...failures(404, 413, 415) },
      },
    },
    async (request) => {
      const { id } = request.params;
      const delivery = await webhooks.enqueueTest(projectOf(request), id, newId('webhookDelivery', randomBytes));
      if (delivery === null) throw noSuchEndpoint(id);
      onDue();
      return toDeliveryObject(delivery);
    },
  );

  app.get(
    `${path}/:id/deliveries`,
    {
      config: { scope: 'webhooks:read' },
      schema: {
        ...{ tags, summary: 'What was sent to a webhook endpoint', params: Params, querystring: Query },
        response: { 200: json('Deliveries, newest first', listOf(Delivery)), ...failures(404) },
      },
    },
    async (request) => {
      const { after, limit = 20 } = request.query;
      const page = await webhooks.deliveries(projectOf(request), request.params.id, { after, limit });
      if (page === null) throw noSuchEndpoint(request.params.id);
      return listOfItems(page, toDeliveryObject);
    },
  );

  app.post(
    `${webhookDeliveries}/:id/replay`,
    {
      config: { scope: 'webhooks:write', action: 'webhook_delivery.replayed' },
      schema: {
        ...{ tags, summary: 'Send a webhook message again', params: Params },
        response: { 200: json('The delivery, pending again', Delivery), ...failures(404, 413, 415) },
      },
    },
    async (request) => {
      const delivery = await webhooks.replay(projectOf(request), request.params.id);
      if (delivery === null) throw notFound(`No such webhook delivery: '${request.params.id}'.`, 'webhook_delivery_not_found', 'id');
      onDue();
      return toDeliveryObject(delivery);
    },
  );
};
