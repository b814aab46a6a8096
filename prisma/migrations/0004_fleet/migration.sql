CREATE TABLE "worker" (
  "id" TEXT NOT NULL,
  "device_class" TEXT NOT NULL,
  "slots" INTEGER NOT NULL DEFAULT 1,
  "version" TEXT NOT NULL,
  "host" TEXT NOT NULL,
  "skew_ms" INTEGER NOT NULL DEFAULT 0,
  "started_at" TIMESTAMPTZ(3) NOT NULL DEFAULT clock_timestamp(),
  "heartbeat_at" TIMESTAMPTZ(3) NOT NULL DEFAULT clock_timestamp(),
  "left_at" TIMESTAMPTZ(3),
  CONSTRAINT "worker_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "worker_heartbeat_at_idx" ON "worker"("heartbeat_at");

ALTER TABLE "project" ADD COLUMN "weight" INTEGER NOT NULL DEFAULT 1;

ALTER TABLE "job"
  ADD COLUMN "device_class" TEXT,
  ADD COLUMN "released_at" TIMESTAMPTZ(3),
  ADD COLUMN "preempt_requested_at" TIMESTAMPTZ(3);

ALTER TABLE "attempt" ADD COLUMN "device_class" TEXT;
CREATE INDEX "attempt_started_at_idx" ON "attempt"("started_at");

ALTER TABLE "checkpoint"
  ADD COLUMN "quarantined_at" TIMESTAMPTZ(3),
  ADD COLUMN "quarantine_reason" TEXT;

CREATE INDEX "file_key_idx" ON "file"("key");

ALTER TYPE "attempt_outcome" ADD VALUE 'paused';
ALTER TYPE "attempt_outcome" ADD VALUE 'preempted';
