# syntax=docker/dockerfile:1

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
# Named one by one, so that databases, keys and build output never get into an image.
COPY Cargo.toml Cargo.lock schema.graphql* config.example.toml* ./
COPY domain domain
COPY graph graph
COPY migration migration
COPY seal seal
COPY sync sync
COPY entity entity
COPY sandbox sandbox
COPY store store
COPY queue queue
COPY server server
COPY worker worker
COPY app app
COPY tests tests
# What the API tells as its revision, as there is no git here: --build-arg LOCKSTEP_REVISION=$(git rev-parse HEAD)
ARG LOCKSTEP_REVISION=
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin lockstep \
    && cp target/release/lockstep /usr/local/bin/lockstep

FROM debian:bookworm-slim
# The certificates are for Microsoft Graph, and for Redis and PostgreSQL over TLS.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home --home-dir /var/lib/lockstep lockstep
COPY --from=build /usr/local/bin/lockstep /usr/local/bin/lockstep
USER 10001
# Where the embedded database and its keys go, when there is no PostgreSQL.
WORKDIR /var/lib/lockstep
VOLUME /var/lib/lockstep
ENV LOCKSTEP_LISTEN=0.0.0.0:8080
EXPOSE 8080
ENTRYPOINT ["lockstep"]
CMD ["all"]
