ALTER TABLE "project" ADD COLUMN "archived_at" TIMESTAMPTZ(3);
ALTER TABLE "project" ADD COLUMN "max_running_jobs" INTEGER;
ALTER TABLE "project" ADD COLUMN "max_queued_jobs" INTEGER;
ALTER TABLE "project" ADD COLUMN "max_storage_bytes" BIGINT;
ALTER TABLE "project" ADD COLUMN "max_device_seconds_per_month" BIGINT;
ALTER TABLE "project" ADD COLUMN "max_requests_per_minute" INTEGER;
CREATE INDEX "project_created_at_id_idx" ON "project"("created_at", "id");

ALTER TABLE "api_key" ADD COLUMN "scopes" TEXT[] NOT NULL DEFAULT ARRAY['write']::TEXT[];
ALTER TABLE "api_key" ADD COLUMN "last_used_at" TIMESTAMPTZ(3);
-- Until now every key came from the environment.
UPDATE "api_key" SET "scopes" = ARRAY['organization'] WHERE "name" = 'environment';
DROP INDEX "api_key_project_id_idx";
CREATE INDEX "api_key_project_id_created_at_id_idx" ON "api_key"("project_id", "created_at", "id");

CREATE INDEX "attempt_project_id_started_at_idx" ON "attempt"("project_id", "started_at");

CREATE TABLE "audit_log" (
  "id" TEXT NOT NULL,
  "project_id" TEXT NOT NULL,
  "api_key_id" TEXT NOT NULL,
  "action" TEXT NOT NULL,
  "resource_id" TEXT,
  "status" INTEGER NOT NULL,
  "ip" TEXT NOT NULL,
  "request_id" TEXT NOT NULL,
  "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT "audit_log_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "audit_log_project_id_created_at_id_idx" ON "audit_log"("project_id", "created_at", "id");
CREATE INDEX "audit_log_created_at_id_idx" ON "audit_log"("created_at", "id");
ALTER TABLE "audit_log" ADD CONSTRAINT "audit_log_project_id_fkey" FOREIGN KEY ("project_id") REFERENCES "project"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "audit_log" ADD CONSTRAINT "audit_log_api_key_id_fkey" FOREIGN KEY ("api_key_id") REFERENCES "api_key"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
