-- A checkpoint whose objects retention has deleted: its row stays, for the chain of hashes from the adapter back to the first step.
ALTER TABLE "checkpoint" ADD COLUMN "removed_at" TIMESTAMPTZ(3);
