-- What kind of rows a file holds, as its report says: asked for whenever a job is made, and reports are long.
ALTER TABLE "file" ADD COLUMN "shape" TEXT;
UPDATE "file" SET "shape" = "report" ->> 'shape';
