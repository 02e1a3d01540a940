# The operator's image: one binary and the roots of trust, as a user without rights. It has not been built by CI.
FROM docker.io/library/rust:1.95.0-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin spideriq-operator && strip target/release/spideriq-operator

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/spideriq-operator /usr/local/bin/spideriq-operator
ENTRYPOINT ["/usr/local/bin/spideriq-operator"]
CMD ["run"]
