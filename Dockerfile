# One image for both processes: `vakhta-exporter …` and `vakhta-alerting …`; `alertctl` is in it too.
# Nothing here needs BuildKit. Without a network, put the wheels that requirements.lock names into ./wheels.
ARG BASE_IMAGE=python:3.13-slim

FROM ${BASE_IMAGE} AS build
WORKDIR /build
COPY requirements.lock wheel[s] ./wheels/
RUN python3 -m venv /opt/vakhta \
 && if ls wheels/*.whl >/dev/null 2>&1; then export PIP_NO_INDEX=1; fi \
 && /opt/vakhta/bin/pip install --no-cache-dir --disable-pip-version-check --quiet \
      --require-hashes --only-binary=:all: --find-links wheels -r wheels/requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY vakhta vakhta/
COPY exporter exporter/
COPY alerting alerting/
COPY rules rules/
# What only builds and installs does not stay: who gets in finds no package manager.
RUN /opt/vakhta/bin/pip install --no-cache-dir --disable-pip-version-check --quiet \
      --no-deps --no-index --no-build-isolation . \
 && /opt/vakhta/bin/pip uninstall --quiet --yes \
      editables hatchling pathspec pluggy setuptools tomlkit trove-classifiers pip

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="Vakhta" \
      org.opencontainers.image.description="Watches a Docker host behind Traefik and tells the on-call person on Telegram" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/vakhta /opt/vakhta
# A named volume mounted here takes over the folder's owner.
RUN install -d -o 10001 -g 10001 -m 0700 /var/lib/vakhta
# XDG_STATE_HOME puts the state of both processes into that folder without a flag.
ENV PATH=/opt/vakhta/bin:$PATH \
    HOME=/var/lib/vakhta \
    XDG_STATE_HOME=/var/lib \
    PYTHONUNBUFFERED=1
WORKDIR /var/lib/vakhta
USER 10001:10001
EXPOSE 9817 9818
# Asks whichever of the two runs here; a single missed answer is no reason to call it unhealthy.
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 CMD ["python3", "-m", "vakhta.health"]
CMD ["vakhta-exporter", "--help"]
