ALTER TABLE "file" ADD COLUMN "report" JSONB, ADD COLUMN "bad_lines" INTEGER NOT NULL DEFAULT 0;
CREATE INDEX "file_expires_at_idx" ON "file"("expires_at");

ALTER TABLE "job"
  ADD COLUMN "request" JSONB,
  ADD COLUMN "priority" INTEGER NOT NULL DEFAULT 50,
  ADD COLUMN "max_duration_seconds" INTEGER,
  ADD COLUMN "model_deleted_at" TIMESTAMPTZ(3);

CREATE INDEX "idempotency_key_created_at_idx" ON "idempotency_key"("created_at");

CREATE TABLE "upload" (
  "id" TEXT NOT NULL,
  "project_id" TEXT NOT NULL,
  "filename" TEXT NOT NULL,
  "mime_type" TEXT NOT NULL,
  "bytes" BIGINT NOT NULL,
  "keep_invalid" BOOLEAN NOT NULL DEFAULT false,
  "file_seconds" INTEGER,
  "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT clock_timestamp(),
  "expires_at" TIMESTAMPTZ(3) NOT NULL,
  "completed_at" TIMESTAMPTZ(3),
  "cancelled_at" TIMESTAMPTZ(3),
  "file_id" TEXT,
  CONSTRAINT "upload_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "upload_project_id_created_at_id_idx" ON "upload"("project_id", "created_at", "id");

CREATE TABLE "upload_part" (
  "id" TEXT NOT NULL,
  "upload_id" TEXT NOT NULL,
  "bytes" BIGINT NOT NULL,
  "key" TEXT NOT NULL,
  "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT "upload_part_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "upload_part_upload_id_idx" ON "upload_part"("upload_id");

ALTER TABLE "upload" ADD CONSTRAINT "upload_project_id_fkey" FOREIGN KEY ("project_id") REFERENCES "project"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "upload_part" ADD CONSTRAINT "upload_part_upload_id_fkey" FOREIGN KEY ("upload_id") REFERENCES "upload"("id") ON DELETE CASCADE ON UPDATE CASCADE;
