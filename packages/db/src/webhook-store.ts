import type { ProjectId, WebhookDeliveryId, WebhookEndpointId } from '@rowsmith/contracts';
import { webhookTestType } from '@rowsmith/contracts';
import type { WebhookAttempt, WebhookDeliveryRecord, WebhookEndpointRecord, WebhookStore } from '@rowsmith/core';
import { type Database, jsonb } from './database.js';
import type { WebhookDelivery, WebhookEndpoint } from './generated/client.js';
import { pageOf } from './page.js';

/** Attempts kept in a delivery's log. */
const keptAttempts = 20;

const endpointRecord = (row: WebhookEndpoint): WebhookEndpointRecord => ({
  id: row.id as WebhookEndpointId,
  projectId: row.projectId as ProjectId,
  url: row.url,
  description: row.description,
  events: row.events,
  enabled: row.enabled,
  createdAt: row.createdAt,
});
const deliveryRecord = (row: WebhookDelivery): WebhookDeliveryRecord => ({
  id: row.id as WebhookDeliveryId,
  endpointId: row.endpointId as WebhookEndpointId,
  eventId: row.eventId,
  type: row.type,
  createdAt: row.createdAt,
  deliveredAt: row.deliveredAt,
  givenUpAt: row.givenUpAt,
  nextAttemptAt: row.nextAttemptAt,
  attempts: row.attempts as unknown as readonly WebhookAttempt[],
});

/** See the port for the meaning of every method. */
export function createWebhookStore({ prisma }: Database): WebhookStore {
  const find = (projectId: string, id: string) => prisma.webhookEndpoint.findFirst({ where: { projectId, id } });
  return {
    async create({ id, projectId, url, description, events, sealedSecret }, limit) {
      return prisma.$transaction(async (tx) => {
        // Two creations at once count one after the other.
        await tx.$queryRaw`SELECT 1 FROM project WHERE id = ${projectId} FOR UPDATE`;
        if ((await tx.webhookEndpoint.count({ where: { projectId } })) >= limit) return 'full';
        return endpointRecord(
          await tx.webhookEndpoint.create({ data: { id, projectId, url, description, events: [...events], sealedSecret } }),
        );
      });
    },
    async get(projectId, id) {
      const row = await find(projectId, id);
      return row && endpointRecord(row);
    },
    async list(projectId, page) {
      const after = page.after === undefined ? null : await find(projectId, page.after);
      return pageOf(
        page,
        after,
        ({ where, ...rest }) => prisma.webhookEndpoint.findMany({ where: { projectId, ...where }, ...rest }),
        endpointRecord,
      );
    },
    async update(projectId, id, { events, ...change }) {
      const data = { ...change, ...(events === undefined ? {} : { events: [...events] }) };
      const { count } = await prisma.webhookEndpoint.updateMany({ where: { projectId, id }, data });
      const row = count === 0 ? null : await find(projectId, id);
      return row && endpointRecord(row);
    },
    async delete(projectId, id) {
      return (await prisma.webhookEndpoint.deleteMany({ where: { projectId, id } })).count > 0;
    },
    async rotate(projectId, id, sealedSecret, overlapSeconds) {
      await prisma.$executeRaw`
        UPDATE webhook_endpoint SET previous_sealed_secret = sealed_secret, previous_until = clock_timestamp() + ${overlapSeconds} * interval '1 second',
               sealed_secret = ${sealedSecret} WHERE project_id = ${projectId} AND id = ${id}`;
      const row = await find(projectId, id);
      return row && endpointRecord(row);
    },
    async deliveries(projectId, endpointId, page) {
      if ((await find(projectId, endpointId)) === null) return null;
      const after = page.after === undefined ? null : await prisma.webhookDelivery.findFirst({ where: { endpointId, id: page.after } });
      return pageOf(
        page,
        after,
        ({ where, ...rest }) => prisma.webhookDelivery.findMany({ where: { endpointId, ...where }, ...rest }),
        deliveryRecord,
      );
    },
    async replay(projectId, deliveryId) {
      const changed = await prisma.$executeRaw`
        UPDATE webhook_delivery d SET delivered_at = NULL, given_up_at = NULL, tries = 0, next_attempt_at = clock_timestamp()
        FROM webhook_endpoint e WHERE d.id = ${deliveryId} AND e.id = d.endpoint_id AND e.project_id = ${projectId}`;
      return changed === 0 ? null : deliveryRecord(await prisma.webhookDelivery.findUniqueOrThrow({ where: { id: deliveryId } }));
    },
    async enqueueTest(projectId, endpointId, id) {
      const made = await prisma.$executeRaw`
        INSERT INTO webhook_delivery (id, endpoint_id, event_id, type, body)
        SELECT ${id}, id, ${id}, ${webhookTestType}, json_build_object('id', ${id}::text, 'object', 'event',
               'created_at', floor(extract(epoch FROM clock_timestamp()))::bigint, 'type', ${webhookTestType}::text, 'data', '{}'::json)::text
        FROM webhook_endpoint WHERE project_id = ${projectId} AND id = ${endpointId}`;
      return made === 0 ? null : deliveryRecord(await prisma.webhookDelivery.findUniqueOrThrow({ where: { id } }));
    },
    async claimDue(limit, leaseSeconds) {
      const rows = await prisma.$queryRaw<
        { id: WebhookDeliveryId; url: string; body: string; tries: number; secret: string; previous: string | null }[]
      >`
        UPDATE webhook_delivery d SET next_attempt_at = clock_timestamp() + ${leaseSeconds} * interval '1 second'
        FROM webhook_endpoint e
        WHERE e.id = d.endpoint_id AND d.id IN (
          SELECT due.id FROM webhook_delivery due JOIN webhook_endpoint of ON of.id = due.endpoint_id
          WHERE due.delivered_at IS NULL AND due.given_up_at IS NULL AND due.next_attempt_at <= clock_timestamp() AND of.enabled
          ORDER BY due.next_attempt_at LIMIT ${limit} FOR UPDATE OF due SKIP LOCKED)
        RETURNING d.id, e.url, d.body, d.tries, e.sealed_secret AS secret,
                  CASE WHEN e.previous_until > clock_timestamp() THEN e.previous_sealed_secret END AS previous`;
      return rows.map(({ id, url, body, tries, secret, previous }) => ({
        ...{ id, url, body, attempts: tries },
        sealedSecrets: previous === null ? [secret] : [secret, previous],
      }));
    },
    async settle({ id, attempts }, attempt, retryInSeconds) {
      const delivered = attempt.error === null;
      // Only if nobody else sent it or asked for it again meanwhile: their word is the newer one.
      await prisma.$executeRaw`
        UPDATE webhook_delivery SET tries = tries + 1,
               delivered_at = CASE WHEN ${delivered} THEN clock_timestamp() END,
               given_up_at = CASE WHEN ${!delivered && retryInSeconds === null} THEN clock_timestamp() END,
               next_attempt_at = clock_timestamp() + ${retryInSeconds ?? 0} * interval '1 second',
               attempts = (SELECT coalesce(jsonb_agg(entry ORDER BY place), '[]'::jsonb) FROM (
                 SELECT entry, place FROM jsonb_array_elements(attempts || jsonb_build_array(
                   jsonb_build_object('at', floor(extract(epoch FROM clock_timestamp()))::bigint) || ${jsonb(attempt)})) WITH ORDINALITY AS log(entry, place)
                 ORDER BY place DESC LIMIT ${keptAttempts}) AS latest)
        WHERE id = ${id} AND tries = ${attempts} AND delivered_at IS NULL AND given_up_at IS NULL`;
    },
  };
}
