# syntax=docker/dockerfile:1
# The operator's image for those who have a Docker daemon. It holds what `make image` packs, laid out by the same program:
#
#   docker build --build-arg SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)" --build-arg SOURCE_REVISION="$(git rev-parse HEAD)" \
#     --tag spideriq-operator:0.1.0 .
FROM docker.io/library/rust:1.95.0-slim-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends make && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# The tools change seldom: a layer of their own.
COPY Makefile rust-toolchain.toml ./
RUN --mount=type=cache,target=/usr/local/cargo/registry make image-tools
COPY . .
ARG SOURCE_DATE_EPOCH SOURCE_REVISION
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target make root ROOT=/root-of-the-image

FROM scratch
ARG SOURCE_REVISION
LABEL org.opencontainers.image.description="Makes a SpiderIQ scraping job a Kubernetes resource" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${SOURCE_REVISION}" \
      org.opencontainers.image.title="spideriq-operator" \
      org.opencontainers.image.version="0.1.0"
COPY --from=build /root-of-the-image /
# By number, so that the kubelet can tell that it is not root.
USER 65532:65532
WORKDIR /
ENV MALLOC_ARENA_MAX=1 MALLOC_MMAP_THRESHOLD_=131072 MALLOC_TRIM_THRESHOLD_=131072
ENTRYPOINT ["/usr/local/bin/spideriq-operator"]
CMD ["run"]
