# Builds the one binary and puts it on a small Debian. `docker build -t promenade .`
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
# The allocator is built by make.
RUN apt-get update && apt-get install --yes --no-install-recommends make && rm -rf /var/lib/apt/lists/*
COPY .cargo .cargo
COPY Cargo.toml Cargo.lock rust-toolchain.toml ./
COPY proto proto
COPY tests tests
COPY crates crates
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --package cli && cp target/release/promenade /promenade

FROM debian:bookworm-slim
COPY --from=build /promenade /usr/local/bin/promenade
# /tokens is for compose files that hand tokens to other containers; named volumes take over the owner of both.
RUN useradd --system --uid 10001 --no-create-home promenade && install --directory --owner=promenade /data /tokens
USER promenade
VOLUME /data
EXPOSE 9090
# Debian's bash speaks TCP, so the image needs no curl.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s CMD ["bash", "-c", \
    "exec 3<>/dev/tcp/127.0.0.1/9090 && printf 'GET /-/ready HTTP/1.0\\r\\n\\r\\n' >&3 && grep -q ' 200 ' <&3"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["promenade"]
CMD ["serve", "--data-dir", "/data", "--listen", "0.0.0.0:9090"]
