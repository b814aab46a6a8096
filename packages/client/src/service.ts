/** Models, webhooks and workers. */
import type {
  ModelLimits,
  ModelObject,
  SlotsObject,
  WebhookDeliveryObject,
  WebhookEndpointObject,
  WebhookType,
  WorkerObject,
} from '@rowsmith/contracts';
import { type Calls, given, type ListOf, type PageOptions, pageOf, path, unwrap } from './calls.js';

export interface WebhookEndpointOptions {
  /** Succeeded, failed and cancelled if not given. */
  readonly events?: readonly WebhookType[];
  readonly description?: string;
}
export interface WebhookEndpointChanges extends WebhookEndpointOptions {
  readonly url?: string;
  /** false: nothing is sent; what happens meanwhile is not sent later. */
  readonly enabled?: boolean;
}

export interface ServiceMethods {
  /** Base models that jobs can name, and what jobs made. */
  listModels(): Promise<ListOf<ModelObject>>;
  getModel(id: string): Promise<ModelObject>;
  /** What a job on a base model may ask for, with what the service takes and your project's quotas. */
  modelLimits(id: string): Promise<ModelLimits>;
  /** Fine-tuned models only: a base model is refused. */
  deleteModel(id: string): Promise<void>;
  /** The answer holds the secret, this one time. */
  createWebhookEndpoint(url: string, options?: WebhookEndpointOptions): Promise<WebhookEndpointObject>;
  listWebhookEndpoints(page?: PageOptions): Promise<ListOf<WebhookEndpointObject>>;
  getWebhookEndpoint(id: string): Promise<WebhookEndpointObject>;
  updateWebhookEndpoint(id: string, changes: WebhookEndpointChanges): Promise<WebhookEndpointObject>;
  deleteWebhookEndpoint(id: string): Promise<void>;
  /** The answer holds the new secret; the old one signs as well for `overlapSeconds` (a day if not given). */
  rotateWebhookSecret(id: string, options?: { readonly overlapSeconds?: number }): Promise<WebhookEndpointObject>;
  /** Sends a test message. */
  testWebhookEndpoint(id: string): Promise<WebhookDeliveryObject>;
  listWebhookDeliveries(id: string, page?: PageOptions): Promise<ListOf<WebhookDeliveryObject>>;
  /** Sends a message again, with its first id and signed anew. */
  replayWebhookDelivery(id: string): Promise<WebhookDeliveryObject>;
  /** Of the last day, those alive first. */
  listWorkers(): Promise<ListOf<WorkerObject>>;
  /** Jobs that wait for a device class or run on it. `any`: also those that fit every class. */
  wantedSlots(deviceClass: string, options?: { readonly any?: boolean }): Promise<SlotsObject>;
}

const bodyOfEndpoint = ({ events, ...rest }: WebhookEndpointChanges) => given({ ...rest, events: events && [...events] });

export function serviceMethods({ api }: Calls): ServiceMethods {
  return {
    listModels: async () => unwrap(await api.GET('/v1/models')),
    getModel: async (id) => unwrap(await api.GET('/v1/models/{id}', { params: path(id) })),
    modelLimits: async (id) => unwrap(await api.GET('/v1/models/{id}/limits', { params: path(id) })),
    deleteModel: async (id) => {
      unwrap(await api.DELETE('/v1/models/{id}', { params: path(id) }));
    },
    createWebhookEndpoint: async (url, options = {}) =>
      unwrap(await api.POST('/v1/webhook_endpoints', { body: { ...bodyOfEndpoint(options), url } })),
    listWebhookEndpoints: async (page) => unwrap(await api.GET('/v1/webhook_endpoints', { params: { query: pageOf(page) } })),
    getWebhookEndpoint: async (id) => unwrap(await api.GET('/v1/webhook_endpoints/{id}', { params: path(id) })),
    updateWebhookEndpoint: async (id, changes) =>
      unwrap(await api.POST('/v1/webhook_endpoints/{id}', { params: path(id), body: bodyOfEndpoint(changes) })),
    deleteWebhookEndpoint: async (id) => {
      unwrap(await api.DELETE('/v1/webhook_endpoints/{id}', { params: path(id) }));
    },
    rotateWebhookSecret: async (id, { overlapSeconds } = {}) =>
      unwrap(
        await api.POST('/v1/webhook_endpoints/{id}/rotate_secret', {
          params: path(id),
          body: given({ overlap_seconds: overlapSeconds }),
        }),
      ),
    testWebhookEndpoint: async (id) => unwrap(await api.POST('/v1/webhook_endpoints/{id}/test', { params: path(id) })),
    listWebhookDeliveries: async (id, page) =>
      unwrap(await api.GET('/v1/webhook_endpoints/{id}/deliveries', { params: { ...path(id), query: pageOf(page) } })),
    replayWebhookDelivery: async (id) => unwrap(await api.POST('/v1/webhook_deliveries/{id}/replay', { params: path(id) })),
    listWorkers: async () => unwrap(await api.GET('/v1/fleet/workers')),
    wantedSlots: async (deviceClass, { any } = {}) =>
      unwrap(await api.GET('/v1/fleet/slots', { params: { query: { device_class: deviceClass, ...given({ any }) } } })),
  };
}
