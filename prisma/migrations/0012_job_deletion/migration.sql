-- A job that was deleted: its row and its attempts stay, for what a project has used counts on; nobody reads it any more.
ALTER TABLE "job" ADD COLUMN "deleted_at" TIMESTAMPTZ(3);
