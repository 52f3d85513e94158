"""What docker-py's own tests of images do, on the engine of DOCKER_HOST. Arguments: an image archive, a registry's host."""
import io
import json
import sys

import docker
from docker.errors import APIError, NullResource

archive, registry = sys.argv[1:]
client = docker.from_env()
seen = {}


def refusal(call):
    try:
        call()
    except APIError as error:
        return [error.status_code, type(error).__name__]
    return None


with open(archive, "rb") as file:
    loaded = client.images.load(file)
seen["loaded"] = sorted({tag for image in loaded for tag in image.tags})
image = client.images.get("app:two")
seen["short"] = image.short_id == image.id[:17]
seen["labels"] = image.labels
seen["history"] = [sorted(row) for row in image.history()][0]
seen["missing"] = refusal(lambda: client.images.get("nosuch:1"))
seen["tagged"] = image.tag(f"{registry}/docker-py", "x")
found = client.api.images(name=f"{registry}/docker-py")
seen["list"] = sorted(tag for each in found for tag in each["RepoTags"])
seen["by label"] = len(client.images.list(filters={"label": "tier=front"}))
seen["dangling"] = len(client.images.list(filters={"dangling": True}))
seen["quiet"] = image.id in client.api.images(quiet=True)

pushed = [json.loads(line) for line in client.api.push(f"{registry}/docker-py", tag="x").splitlines()]
seen["pushed"] = [row for row in pushed if "aux" in row][0]["aux"]["Tag"]
digest = client.images.get_registry_data(f"{registry}/docker-py:x")
seen["platforms"] = digest.attrs["Platforms"]
client.images.remove(f"{registry}/docker-py:x")
pulled = client.images.pull(f"{registry}/docker-py", tag="x")
seen["pulled"] = pulled.id == image.id
seen["of all tags"] = len(client.images.pull(f"{registry}/docker-py", all_tags=True))
seen["by digest"] = client.images.get(pulled.attrs["RepoDigests"][0]).id == image.id

saved = io.BytesIO(b"".join(image.save(named="app:two")))
container = client.containers.create("app:two", ["x"])
seen["in use"] = refusal(lambda: client.images.remove(image.id))
committed = container.commit(repository="committed", tag="1", changes="LABEL made=here")
seen["committed"] = [committed.tags, committed.labels["made"], committed.attrs["Parent"] == image.id]
seen["parent"] = refusal(lambda: client.images.remove(image.id, force=True))
container.remove()
client.images.remove("committed:1")
client.images.remove(image.id, force=True)
seen["gone"] = refusal(lambda: client.images.get("app:two"))
seen["back"] = [each.tags for each in client.images.load(saved.getvalue())]

imported = json.loads(client.api.import_image_from_data(b"\0" * 1024, repository="imported").splitlines()[-1])
seen["imported"] = imported["status"].startswith("sha256:")
client.api.remove_image("imported", force=True)
seen["pruned"] = client.images.prune()
seen["df"] = sorted(client.df())
try:
    client.images.get("")
except NullResource:
    seen["blank"] = "refused"
for each in client.images.list():
    client.images.remove(each.id, force=True)
seen["left"] = client.images.list(all=True)
print(json.dumps(seen))
