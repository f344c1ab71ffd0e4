# The hub's image: locked packages with hashes, a user of its own, no pip and no compiler in what runs. See docs/containers.md.
ARG PYTHON=3.12.12-slim-bookworm

# --- packages and bytecode; nothing of this stage but /venv and /app goes on ---
FROM python:${PYTHON} AS build
WORKDIR /build
COPY requirements.lock ./
RUN python -m venv --without-pip /venv \
 && pip --python /venv/bin/python install --no-cache-dir --disable-pip-version-check --no-compile \
        --only-binary :all: --require-hashes --no-deps -r requirements.lock
# The lock has no group for development alone: what the project's dependencies do not reach is taken away again.
COPY pyproject.toml deploy/containers/unneeded.py ./
RUN /venv/bin/python unneeded.py pyproject.toml > unneeded.txt \
 && pip --python /venv/bin/python uninstall --yes -r unneeded.txt
COPY LICENSE NOTICE README.md pyproject.toml /app/
COPY hub /app/hub
COPY connectors /app/connectors
COPY schemas /app/schemas
COPY examples /app/examples
RUN printf '#!/bin/sh\nexec python -P -m hub.cli.main "$@"\n' > /venv/bin/datong \
 && chmod 0755 /venv/bin/datong \
 && chmod -R a+rX,go-w /app /venv \
 && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /venv/lib /app

# --- what runs ---
FROM python:${PYTHON}
LABEL org.opencontainers.image.title="Datong" \
      org.opencontainers.image.description="An integration hub through which public agencies share data" \
      org.opencontainers.image.licenses="Apache-2.0"
# The user's number is fixed: volumes and secret files are given to it by number.
RUN groupadd --gid 10001 datong \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin datong \
 && install -d -o 10001 -g 10001 -m 0700 /data /data/var /data/secrets.d
COPY --from=build /venv /venv
COPY --from=build /app /app
ENV PATH=/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-I", "-c", "import http.client as c, os, sys; h = c.HTTPConnection('127.0.0.1', int(os.environ.get('DATONG_HTTP__PORT', 8080)), timeout=4); h.request('GET', '/readyz'); sys.exit(h.getresponse().status != 200)"]
ENTRYPOINT ["python", "-P", "-m", "hub.cli.main"]
CMD ["serve"]
