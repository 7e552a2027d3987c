# Hera in a container. `docker build -t hera:0.1.0 .` makes the image; docker-compose.yml and docs/private-network.md use it.
ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS build
# gcc compiles the hashing kernel; fastecdsa, which libp2p uses, is compiled against GMP
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev libgmp-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml setup.cfg setup.py MANIFEST.in README.md ./
COPY starknet starknet
COPY broker broker
COPY workers workers
COPY node node
COPY configs/networks configs/networks
RUN python -m venv /opt/hera && /opt/hera/bin/pip install --no-cache-dir .

FROM python:${PYTHON}
# libgmp10 and libstdc++6 are part of the base image
COPY --from=build /opt/hera /opt/hera
# A fresh volume takes owner and mode of the folder it is mounted on; the last two are those of docs/private-network.md
RUN groupadd --gid 10001 hera \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/hera --shell /usr/sbin/nologin hera \
 && install -d -o hera -g hera -m 0700 /var/lib/hera /var/lib/hera-keys /var/lib/heraFeeder /var/lib/heraNode1
ENV PATH=/opt/hera/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MALLOC_ARENA_MAX=2 \
    HERA_DB_PATH=/var/lib/hera
USER 10001:10001
WORKDIR /var/lib/hera
EXPOSE 6060 7777 9090
STOPSIGNAL SIGTERM
# Of a whole node; docker-compose.yml has one for each worker
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["hera", "healthcheck"]
ENTRYPOINT ["hera"]
