-- A checkpoint that was asked for: of this step or a later one. It outlives the attempt that was to write it; the checkpoint that fulfils it clears it.
ALTER TABLE "job" ADD COLUMN "checkpoint_wanted_step" INTEGER;
