CREATE TABLE "job_tracking" (
  "job_id" TEXT NOT NULL,
  "position" INTEGER NOT NULL,
  "handle" TEXT,
  "url" TEXT,
  "last_step" INTEGER NOT NULL DEFAULT -1,
  "sent_points" INTEGER NOT NULL DEFAULT 0,
  "tries" INTEGER NOT NULL DEFAULT 0,
  "next_at" TIMESTAMPTZ(3) NOT NULL DEFAULT clock_timestamp(),
  "finished_at" TIMESTAMPTZ(3),
  "error" TEXT,
  CONSTRAINT "job_tracking_pkey" PRIMARY KEY ("job_id", "position")
);
ALTER TABLE "job_tracking" ADD CONSTRAINT "job_tracking_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "job"("id") ON DELETE CASCADE ON UPDATE CASCADE;
CREATE INDEX "job_tracking_open" ON "job_tracking"("next_at") WHERE "finished_at" IS NULL;
CREATE INDEX "job_tracked" ON "job"("created_at") WHERE jsonb_typeof("request" -> 'integrations') = 'array';
