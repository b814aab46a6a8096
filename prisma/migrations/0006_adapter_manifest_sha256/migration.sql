ALTER TABLE "job" ADD COLUMN "adapter_manifest_sha256" TEXT;
