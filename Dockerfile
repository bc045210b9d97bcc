# Jumpseat in a container: built with the `dist` profile, run by nobody in particular.
#
#   docker build -t jumpseat .
#   docker run --rm -p 4000:4000 -v "$PWD/jumpseat.yaml:/etc/jumpseat/jumpseat.yaml:ro" -e OPENAI_API_KEY jumpseat
#
# The configuration must listen beyond loopback to be reachable (examples/container.yaml): `listen: 0.0.0.0:4000`.
# TLS roots are in the binary; the image needs no packages.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --locked --profile dist --package jumpseat

FROM debian:bookworm-slim
COPY --from=build /src/target/dist/jumpseat /usr/local/bin/jumpseat
# A number, so that orchestrators can see that it is not root.
USER 65532:65532
WORKDIR /tmp
EXPOSE 4000 4001
STOPSIGNAL SIGTERM
ENTRYPOINT ["jumpseat"]
CMD ["serve", "--config", "/etc/jumpseat/jumpseat.yaml"]
