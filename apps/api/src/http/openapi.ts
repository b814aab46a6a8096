/** The OpenAPI 3.1 document, made from the route schemas. */
import swagger from '@fastify/swagger';
import {
  ApiErrorBody,
  ApiKeyObject,
  AuditLogObject,
  CloneJobBody,
  CompleteUploadBody,
  CreateJobBody,
  CreateUploadBody,
  FileDeleted,
  FileObject,
  FileReport,
  JobCheckpoint,
  JobDeleted,
  JobEstimate,
  JobEvent,
  JobObject,
  MetricPoint,
  ModelDeleted,
  ModelLimits,
  ModelObject,
  ProjectObject,
  ProjectUsage,
  UploadObject,
  UploadPartObject,
  Verification,
  VerificationLink,
  WebhookDeliveryObject,
  WebhookEndpointObject,
} from '@rowsmith/contracts';
import type { FastifyInstance } from 'fastify';
import type { TSchema } from 'typebox';

/** Names in `components.schemas`. */
const components: Readonly<Record<string, TSchema>> = {
  Error: ApiErrorBody,
  File: FileObject,
  FileDeleted,
  FileReport,
  FineTuningJob: JobObject,
  FineTuningJobDeleted: JobDeleted,
  FineTuningEstimate: JobEstimate,
  FineTuningJobEvent: JobEvent,
  FineTuningJobCheckpoint: JobCheckpoint,
  MetricPoint,
  Model: ModelObject,
  ModelLimits,
  WebhookEndpoint: WebhookEndpointObject,
  WebhookDelivery: WebhookDeliveryObject,
  ModelDeleted,
  Upload: UploadObject,
  UploadPart: UploadPartObject,
  Project: ProjectObject,
  ProjectUsage,
  ProjectApiKey: ApiKeyObject,
  AuditLog: AuditLogObject,
  Verification,
  VerificationLink,
};

/** Schemas of bodies, by their `$id`. */
export const requestBodies = [CreateJobBody, CloneJobBody, CreateUploadBody, CompleteUploadBody];

/** TypeBox writes draft-7 tuples; OpenAPI 3.1 reads JSON Schema 2020-12. */
function modernTuples(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(modernTuples);
  if (node === null || typeof node !== 'object') return node;
  const copy = Object.fromEntries(Object.entries(node).map(([key, value]) => [key, modernTuples(value)]));
  if (Array.isArray(copy['items'])) {
    copy['prefixItems'] = copy['items'];
    copy['maxItems'] = copy['items'].length;
    copy['items'] = false;
    delete copy['additionalItems'];
  }
  return copy;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Schema of a multipart body: for the document only, the handler reads the stream itself. */
    multipartForm?: object;
    /** Query parameters written `name[key]=value`; the validator knows them as patterns, which OpenAPI cannot say. */
    queryObjects?: Readonly<Record<string, object>>;
  }
}

/** Carries `queryObjects` through the generator. */
const queryObjectsKey = 'x-query-objects';

type Operation = { parameters?: object[]; [key: string]: unknown };

function withQueryObjects(document: { readonly paths?: Readonly<Record<string, Readonly<Record<string, Operation>> | undefined>> }): void {
  for (const operations of Object.values(document.paths ?? {})) {
    for (const operation of Object.values(operations ?? {})) {
      const named = operation[queryObjectsKey];
      if (named === undefined) continue;
      const parameters = Object.entries(named as Record<string, object>).map(([name, schema]) => ({
        name,
        in: 'query',
        style: 'deepObject',
        explode: true,
        schema,
      }));
      operation.parameters = [...(operation.parameters ?? []), ...parameters];
      delete operation[queryObjectsKey];
    }
  }
}

export async function describeApi(app: FastifyInstance, version: string): Promise<void> {
  for (const [$id, schema] of Object.entries(components)) app.addSchema({ ...schema, $id });
  for (const body of requestBodies) app.addSchema(body);
  await app.register(swagger, {
    convertConstToEnum: false,
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Rowsmith',
        version,
        description:
          "Fine-tuning as a service. OpenAI's fine-tuning wire format under /v1, the same handlers under short paths, and our extensions.",
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: '/' }],
      components: {
        securitySchemes: {
          bearer: { type: 'http', scheme: 'bearer' },
          apiKey: { type: 'apiKey', in: 'header', name: 'api-key' },
        },
      },
      security: [{ bearer: [] }, { apiKey: [] }],
      tags: [
        { name: 'files', description: 'Training and validation data, and result files' },
        { name: 'fine-tuning', description: 'Jobs, their events, metrics, checkpoints and adapters' },
        { name: 'models', description: 'Base models and fine-tuned ones' },
        { name: 'fleet', description: 'Workers, and how many there should be' },
        { name: 'webhooks', description: 'Servers that are told of job events' },
        { name: 'organization', description: 'Projects, their API keys and quotas, and the audit log' },
        { name: 'service', description: 'Health, metrics and this document' },
      ],
    },
    transform: ({ schema, url, route }) => {
      const { multipartForm, queryObjects, scope } = route.config ?? {};
      // 3.1 lets every kind of scheme list what the caller needs.
      const security = scope === undefined ? {} : { security: [{ bearer: [scope] }, { apiKey: [scope] }] };
      const form = multipartForm === undefined ? {} : { consumes: ['multipart/form-data'], body: multipartForm };
      return {
        url,
        schema: { ...schema, ...security, ...form, ...(queryObjects === undefined ? {} : { [queryObjectsKey]: queryObjects }) },
      };
    },
    refResolver: { buildLocalReference: (json, _base, _fragment, i) => (typeof json['$id'] === 'string' ? json['$id'] : `def-${i}`) },
    stripBasePath: false,
  });
}

/** The document in the dialect that 3.1 names. Call after `ready()`. */
export function openApiDocument(app: FastifyInstance): Record<string, unknown> {
  const document = modernTuples(app.swagger()) as Record<string, unknown>;
  withQueryObjects(document);
  return document;
}
