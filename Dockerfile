# syntax=docker/dockerfile:1
# Images of the API (no TensorFlow) and of the CPU worker:
#   docker build --target api -t rowsmith-api .        docker build --target worker -t rowsmith-worker .
ARG NODE_IMAGE=node:22-bookworm

# Everything that compiles. Set-up is the same program as on a developer's machine.
FROM ${NODE_IMAGE} AS build
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-pip g++ && rm -rf /var/lib/apt/lists/*
WORKDIR /app
ENV ROWSMITH_CACHE=/opt/rowsmith
# npm first: this layer changes only with the lockfile.
COPY package.json package-lock.json .npmrc ./
COPY packages/ packages/
COPY apps/ apps/
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.base.json ./
COPY prisma/ prisma/
COPY scripts/ scripts/
RUN node scripts/setup.mjs

# Only what one process needs, production dependencies only.
FROM build AS api-modules
RUN node scripts/image-modules.mjs apps/api /image

FROM build AS worker-modules
RUN node scripts/image-modules.mjs apps/worker,apps/trainer /image

FROM ${NODE_IMAGE}-slim AS api
ENV NODE_ENV=production ROWSMITH_HOST=0.0.0.0 ROWSMITH_PORT=8080 ROWSMITH_DATA=/data ROWSMITH_CACHE=/opt/rowsmith
WORKDIR /app
COPY --from=api-modules /image ./
RUN mkdir -p /data /opt/rowsmith && chown node:node /data /opt/rowsmith
USER 1000:1000
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --start-period=20s CMD ["node", "-e", "fetch('http://127.0.0.1:8080/healthz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "apps/api/dist/main.js"]

FROM ${NODE_IMAGE}-slim AS worker
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
ENV NODE_ENV=production ROWSMITH_DATA=/data ROWSMITH_CACHE=/opt/rowsmith
WORKDIR /app
COPY --from=worker-modules /image ./
# TensorFlow's library, the addon, the demo model. Fused operators fit the processor that built the image; elsewhere stock operators are used.
COPY --from=build --chown=node:node /opt/rowsmith /opt/rowsmith
RUN mkdir -p /data && chown node:node /data
USER 1000:1000
VOLUME /data
STOPSIGNAL SIGTERM
CMD ["node", "apps/worker/dist/main.js"]
