"""What docker-py's own tests of networks do, on the engine of DOCKER_HOST. Argument: the first three numbers of a free /24."""
import json
import sys

import docker
from docker.errors import APIError, NotFound

(prefix,) = sys.argv[1:]
client = docker.from_env()
api = client.api
seen = {}


def refusal(call):
    try:
        call()
    except APIError as error:
        return [error.status_code, type(error).__name__]
    return None


def network_of(container, name):
    return api.inspect_container(container)["NetworkSettings"]["Networks"][name]


pool = docker.types.IPAMPool(
    subnet=f"{prefix}.0/24",
    iprange=f"{prefix}.128/25",
    gateway=f"{prefix}.254",
    aux_addresses={"a": f"{prefix}.130", "b": f"{prefix}.131"},
)
created = api.create_network("pooled", ipam=docker.types.IPAMConfig(driver="default", pool_configs=[pool]))
seen["create"] = sorted(created)
seen["warning"] = created["Warning"]
inspected = api.inspect_network("pooled")
seen["ipam"] = inspected["IPAM"] == {
    "Driver": "default",
    "Options": None,
    "Config": [
        {
            "Subnet": f"{prefix}.0/24",
            "IPRange": f"{prefix}.128/25",
            "Gateway": f"{prefix}.254",
            "AuxiliaryAddresses": {"a": f"{prefix}.130", "b": f"{prefix}.131"},
        }
    ],
}
seen["driver"] = [inspected["Driver"], inspected["Scope"]]
seen["listed"] = [
    any(net["Id"] == created["Id"] for net in api.networks()),
    [net["Name"] for net in api.networks(names=["pooled"])],
    [net["Name"] for net in api.networks(ids=[created["Id"][:12]])],
    [net.name for net in client.networks.list(names=["pooled"], greedy=True)],
]
seen["host driver"] = refusal(lambda: api.create_network("second-host", driver="host"))
seen["no driver"] = refusal(lambda: api.create_network("other", driver="nosuch"))
seen["twice"] = refusal(lambda: api.create_network("pooled", check_duplicate=True))
labelled = client.networks.create("labelled", labels={"com.docker.py.test": "label"}, internal=True, attachable=True)
seen["labels"] = [labelled.attrs["Labels"], labelled.attrs["Internal"], labelled.attrs["Attachable"]]
seen["scope"] = [
    api.inspect_network("labelled", scope="local")["Name"],
    refusal(lambda: api.inspect_network("labelled", scope="swarm")),
    api.inspect_network("labelled", verbose=True)["Containers"],
]

container = api.create_container("busybox", "sleep 1000")
api.start(container)
api.connect_container_to_network(container, created["Id"], aliases=["foo", "bar"], ipv4_address=f"{prefix}.200")
seen["connected"] = list(api.inspect_network("pooled")["Containers"]) == [container["Id"]]
place = network_of(container, "pooled")
seen["aliases"] = [set(["foo", "bar"]) <= set(place["Aliases"]), place["IPAMConfig"] == {"IPv4Address": f"{prefix}.200"}]
seen["address"] = place["IPAddress"] == f"{prefix}.200"
seen["again"] = refusal(lambda: api.connect_container_to_network(container, created["Id"]))
seen["in use"] = refusal(lambda: api.remove_network(created["Id"]))
api.disconnect_container_from_network(container, created["Id"])
seen["disconnected"] = api.inspect_network("pooled")["Containers"]
seen["off again"] = refusal(lambda: api.disconnect_container_from_network(container, created["Id"]))
seen["off by force"] = refusal(lambda: api.disconnect_container_from_network(container, created["Id"], force=True))

config = api.create_networking_config(
    {
        "pooled": api.create_endpoint_config(
            aliases=["web"], ipv4_address=f"{prefix}.201", links={container["Id"]: "peer"}, driver_opt={"a": "b"}
        )
    }
)
second = api.create_container(
    "busybox", "sleep 1000", host_config=api.create_host_config(network_mode="pooled"), networking_config=config
)
place = network_of(second, "pooled")
seen["on create"] = [
    "web" in place["Aliases"],
    place["IPAMConfig"] == {"IPv4Address": f"{prefix}.201"},
    place["Links"] == [container["Id"] + ":peer"],
    place["DriverOpts"],
]
api.start(second)
seen["started"] = network_of(second, "pooled")["IPAddress"] == f"{prefix}.201"
seen["members"] = [member.id == second["Id"] for member in client.networks.get("pooled").containers]
for each in (container, second):
    api.remove_container(each, force=True)
seen["pruned"] = sorted(api.prune_networks()["NetworksDeleted"])
seen["gone"] = refusal(lambda: client.networks.get("pooled"))
seen["predefined"] = refusal(lambda: api.remove_network("bridge"))
try:
    api.inspect_network("pooled")
except NotFound as error:
    seen["words"] = error.explanation
print(json.dumps(seen))
