# docker build -t rnlib .
# docker run --rm -v "$PWD/outputs:/rnlib/outputs" rnlib                        # make demo
# docker run --rm -p 8888:8888 rnlib make lab LAB_FLAGS="--ip=0.0.0.0 --allow-root --no-browser"
#     (JupyterLab prints its address with a token; only with --gpus all is a GPU visible)
FROM python:3.12-slim

RUN apt-get update \
    && apt-get install -y --no-install-recommends make git \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /rnlib

# The packages first: this layer of several GB is kept until the lock changes.
COPY Makefile requirements.lock ./
RUN make .venv/.installed-packages

COPY . .
RUN make setup

EXPOSE 8888
CMD ["make", "demo"]
