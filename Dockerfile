# The operator's image: one binary and the roots of trust, as a user without rights. It has not been built by CI.
FROM docker.io/library/rust:1.95.0-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin spideriq-operator && strip target/release/spideriq-operator

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/spideriq-operator /usr/local/bin/spideriq-operator
# By number, so that the kubelet can tell that it is not root.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/spideriq-operator"]
CMD ["run"]
