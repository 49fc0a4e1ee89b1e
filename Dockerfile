# Owns the image for any host that runs containers; Railway, Render and Fly build it as it is.
# Nothing of the build stays in the image: one stripped binary on a Debian without tools.

FROM node:20-slim AS pages
WORKDIR /pages
COPY frontend-client ./
RUN npm ci --no-fund --no-audit && npm run build

FROM rust:1-slim-bookworm AS build
WORKDIR /src
# The dependencies first, with an empty program in the place of ours: this layer is kept until the lock file changes.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src && touch src/lib.rs && echo 'fn main() {}' > src/main.rs \
    && cargo build --release --locked \
    && rm -r src

# The pages are part of the binary. Cargo compares times, and files from a checkout may be older than the empty ones.
COPY build.rs ./
COPY src ./src
COPY --from=pages /pages/dist ./frontend-client/dist
RUN find src -name '*.rs' -exec touch {} + \
    && cargo build --release --locked --bin innkeeper \
    && strip target/release/innkeeper

FROM debian:bookworm-slim
# No package is added: the roots that SENTRY_DSN's reports are sent under are in the binary.
# /data is the default DATA_DIR, below the working directory; a named volume that is mounted there gets its owner. The variable stays
# unset: here, it would hide the volume that Railway names, and the warning that nobody named one. Railway also refuses VOLUME.
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin innkeeper \
    && install -d -m 700 -o innkeeper /data
COPY --from=build /src/target/release/innkeeper /usr/local/bin/innkeeper
WORKDIR /
USER innkeeper

# Documentation only: the server listens on PORT, which hosting platforms set.
EXPOSE 8080
STOPSIGNAL SIGTERM

# No curl in the image: bash speaks enough HTTP. /health, not /ready: a draining server must not be killed for it.
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s --retries=3 CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/${HTTP_PORT:-${PORT:-8080}} && printf 'GET /health HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && IFS= read -r -t 4 status <&3 && [[ $status == 'HTTP/1.1 200 '* ]]"]

# Not through a shell: the signal must reach the server itself.
ENTRYPOINT ["/usr/local/bin/innkeeper"]
