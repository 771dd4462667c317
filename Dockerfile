# The service as production runs it: docker build -t stamp-service . && docker run -p 8087:8087 -v stamps:/data stamp-service
# With extras, for lakes on HDFS and the like: docker build --build-arg EXTRAS=lake -t stamp-service .
FROM python:3.13-slim AS build
WORKDIR /srv/stamp-service
RUN python -m venv /opt/venv
# The pins first: they change less often than the code, and this layer is kept as long as they do not.
COPY requirements.txt .
RUN grep -v '^-e' requirements.txt > /tmp/pins.txt \
    && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check -r /tmp/pins.txt
COPY pyproject.toml README.md LICENSE requirements-test.txt ./
COPY stamp_service stamp_service
ARG EXTRAS=
# Extras are pinned where every extra is.
RUN grep -v '^-e' requirements-test.txt > /tmp/pins.txt \
    && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --constraint /tmp/pins.txt ".${EXTRAS:+[$EXTRAS]}"

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin stamps \
    && install -d -o stamps -g stamps /data
COPY --from=build /opt/venv /opt/venv
WORKDIR /srv/stamp-service
COPY app.py gunicorn.conf.py ./
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    STAMP_DATA_DIR=/data
USER stamps
VOLUME /data
EXPOSE 8087
# Asks the server itself, on whatever port it was told to use.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f\"http://127.0.0.1:{os.environ.get('APP_PORT') or 8087}/v1/health/live\", timeout=4)"]
STOPSIGNAL SIGTERM
CMD ["gunicorn", "-c", "gunicorn.conf.py", "app:app"]
