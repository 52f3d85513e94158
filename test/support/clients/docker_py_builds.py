"""What docker-py does to build, on the engine of DOCKER_HOST."""
import io
import json

import docker
from docker.errors import APIError, BuildError

client = docker.from_env()
seen = {}

DOCKERFILE = b"""FROM busybox AS first
ARG A
RUN echo $A > /a
FROM first AS second
LABEL from=file
"""
image, log = client.images.build(
    fileobj=io.BytesIO(DOCKERFILE), tag="py:1", buildargs={"A": "given"}, labels={"from": "call"}, network_mode="none",
    extra_hosts={"a": "1.2.3.4"}, rm=True, forcerm=True, shmsize=1048576, container_limits={"memory": 64 << 20},
    cache_from=["py:0"],
)
lines = list(log)
seen["tags"] = image.tags
seen["labels"] = image.labels
seen["aux"] = [line["aux"]["ID"] == image.id for line in lines if "aux" in line][-1]
seen["steps"] = sum("Step " in line.get("stream", "") for line in lines)
try:
    client.images.build(fileobj=io.BytesIO(b"FROM busybox\nRUN exit 5\n"), network_mode="none")
except BuildError as error:
    seen["failure"] = [error.msg, [line["errorDetail"] for line in error.build_log if "errorDetail" in line]]
try:
    client.images.build(fileobj=io.BytesIO(b"FRO busybox\n"))
except APIError as error:
    seen["refusal"] = [error.status_code, "unknown instruction: FRO" in error.explanation]
seen["raw"] = [sorted(json.loads(line)) for line in client.api.build(fileobj=io.BytesIO(b"FROM busybox\n"))][0]
seen["cache"] = isinstance(client.df()["BuildCache"], list)
seen["pruned"] = sorted(client.api.prune_builds())
print(json.dumps(seen))
