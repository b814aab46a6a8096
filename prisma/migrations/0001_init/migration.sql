-- All times are the database's own (clock_timestamp()): processes' clocks may differ. Milliseconds, as JavaScript has them: a cursor read back must equal its row.

CREATE TYPE "file_purpose" AS ENUM ('fine-tune', 'fine-tune-results');
CREATE TYPE "job_status" AS ENUM ('validating_files', 'queued', 'running', 'pausing', 'paused', 'succeeded', 'failed', 'cancelled');
CREATE TYPE "attempt_outcome" AS ENUM ('succeeded', 'failed', 'cancelled', 'lost', 'handback');
CREATE TYPE "event_level" AS ENUM ('info', 'warn', 'error');

CREATE TABLE "project" (
  "id" TEXT NOT NULL,
  "name" TEXT NOT NULL,
  "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT "project_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "project_name_key" ON "project"("name");

CREATE TABLE "api_key" (
  "id" TEXT NOT NULL,
  "project_id" TEXT NOT NULL,
  "name" TEXT NOT NULL,
  "hash" TEXT NOT NULL,
  "last4" TEXT NOT NULL,
  "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT clock_timestamp(),
  "expires_at" TIMESTAMPTZ(3),
  "revoked_at" TIMESTAMPTZ(3),
  CONSTRAINT "api_key_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "api_key_hash_key" ON "api_key"("hash");
CREATE INDEX "api_key_project_id_idx" ON "api_key"("project_id");

CREATE TABLE "file" (
  "id" TEXT NOT NULL,
  "project_id" TEXT NOT NULL,
  "filename" TEXT NOT NULL,
  "purpose" "file_purpose" NOT NULL,
  "bytes" BIGINT NOT NULL,
  "sha256" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "examples" INTEGER,
  "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT clock_timestamp(),
  "expires_at" TIMESTAMPTZ(3),
  CONSTRAINT "file_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "file_project_id_created_at_id_idx" ON "file"("project_id", "created_at", "id");

CREATE TABLE "job" (
  "id" TEXT NOT NULL,
  "project_id" TEXT NOT NULL,
  "status" "job_status" NOT NULL DEFAULT 'queued',
  "model" TEXT NOT NULL,
  "suffix" TEXT,
  "seed" INTEGER NOT NULL,
  "metadata" JSONB,
  "training_file" TEXT NOT NULL,
  "validation_file" TEXT,
  "hyperparameters" JSONB NOT NULL,
  "row_sparse" JSONB NOT NULL,
  "spec" JSONB NOT NULL,
  "epoch" INTEGER NOT NULL DEFAULT 0,
  "dispatch_no" INTEGER NOT NULL DEFAULT 1,
  "not_before" TIMESTAMPTZ(3) NOT NULL DEFAULT clock_timestamp(),
  "barren_attempts" INTEGER NOT NULL DEFAULT 0,
  "checkpoint_step" INTEGER NOT NULL DEFAULT -1,
  "next_seq" INTEGER NOT NULL DEFAULT 1,
  "step" INTEGER NOT NULL DEFAULT 0,
  "total_steps" INTEGER,
  "phase" TEXT,
  "trained_tokens" BIGINT,
  "fine_tuned_model" TEXT,
  "adapter_manifest_key" TEXT,
  "result_files" TEXT[] DEFAULT ARRAY[]::TEXT[],
  "error_code" TEXT,
  "error_message" TEXT,
  "error_param" TEXT,
  "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT clock_timestamp(),
  "started_at" TIMESTAMPTZ(3),
  "finished_at" TIMESTAMPTZ(3),
  "estimated_finish" TIMESTAMPTZ(3),
  "heartbeat_at" TIMESTAMPTZ(3),
  "cancel_requested_at" TIMESTAMPTZ(3),
  CONSTRAINT "job_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "job_project_id_created_at_id_idx" ON "job"("project_id", "created_at", "id");
CREATE INDEX "job_status_created_at_idx" ON "job"("status", "created_at");
CREATE INDEX "job_project_id_fine_tuned_model_idx" ON "job"("project_id", "fine_tuned_model");
CREATE INDEX "job_training_file_idx" ON "job"("training_file");
CREATE INDEX "job_validation_file_idx" ON "job"("validation_file");

CREATE TABLE "attempt" (
  "job_id" TEXT NOT NULL,
  "epoch" INTEGER NOT NULL,
  "project_id" TEXT NOT NULL,
  "worker_id" TEXT NOT NULL,
  "started_at" TIMESTAMPTZ(3) NOT NULL DEFAULT clock_timestamp(),
  "ended_at" TIMESTAMPTZ(3),
  "outcome" "attempt_outcome",
  "error_code" TEXT,
  CONSTRAINT "attempt_pkey" PRIMARY KEY ("job_id", "epoch")
);

CREATE TABLE "event" (
  "job_id" TEXT NOT NULL,
  "seq" INTEGER NOT NULL,
  "id" TEXT NOT NULL,
  "project_id" TEXT NOT NULL,
  "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT clock_timestamp(),
  "level" "event_level" NOT NULL,
  "type" TEXT NOT NULL,
  "message" TEXT NOT NULL,
  "data" JSONB NOT NULL,
  CONSTRAINT "event_pkey" PRIMARY KEY ("job_id", "seq")
);
CREATE UNIQUE INDEX "event_id_key" ON "event"("id");

CREATE TABLE "metric" (
  "job_id" TEXT NOT NULL,
  "step" INTEGER NOT NULL,
  "project_id" TEXT NOT NULL,
  "epoch" DOUBLE PRECISION NOT NULL,
  "train_loss" DOUBLE PRECISION,
  "train_mean_token_accuracy" DOUBLE PRECISION,
  "valid_loss" DOUBLE PRECISION,
  "valid_mean_token_accuracy" DOUBLE PRECISION,
  "learning_rate" DOUBLE PRECISION,
  "grad_norm" DOUBLE PRECISION,
  "tokens" INTEGER,
  "labelled_tokens" INTEGER,
  "seconds" DOUBLE PRECISION,
  CONSTRAINT "metric_pkey" PRIMARY KEY ("job_id", "step")
);

CREATE TABLE "checkpoint" (
  "id" TEXT NOT NULL,
  "job_id" TEXT NOT NULL,
  "project_id" TEXT NOT NULL,
  "step" INTEGER NOT NULL,
  "epoch" INTEGER NOT NULL,
  "manifest_key" TEXT NOT NULL,
  "manifest_sha256" TEXT NOT NULL,
  "metrics" JSONB NOT NULL,
  "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT "checkpoint_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "checkpoint_job_id_epoch_step_key" ON "checkpoint"("job_id", "epoch", "step");
CREATE INDEX "checkpoint_job_id_created_at_id_idx" ON "checkpoint"("job_id", "created_at", "id");

CREATE TABLE "idempotency_key" (
  "project_id" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "body_sha256" TEXT NOT NULL,
  "job_id" TEXT NOT NULL,
  "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT "idempotency_key_pkey" PRIMARY KEY ("project_id", "key")
);

ALTER TABLE "api_key" ADD CONSTRAINT "api_key_project_id_fkey" FOREIGN KEY ("project_id") REFERENCES "project"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "file" ADD CONSTRAINT "file_project_id_fkey" FOREIGN KEY ("project_id") REFERENCES "project"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "job" ADD CONSTRAINT "job_project_id_fkey" FOREIGN KEY ("project_id") REFERENCES "project"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "attempt" ADD CONSTRAINT "attempt_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "job"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "event" ADD CONSTRAINT "event_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "job"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "metric" ADD CONSTRAINT "metric_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "job"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "checkpoint" ADD CONSTRAINT "checkpoint_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "job"("id") ON DELETE CASCADE ON UPDATE CASCADE;
