# What a Python administrator's script does with the engine over dasbus; prints one JSON object of what it saw.
import json
import os
from dasbus.connection import SystemMessageBus
from dasbus.loop import EventLoop
from dasbus.typing import get_native, get_variant, Str, Bool
from dasbus.unix import GLibClientUnix
from gi.repository import GLib

SERVICE = "org.moored.Engine1"
ROOT = "/org/moored/Engine1"
bus = SystemMessageBus()
seen = {}

manager = bus.get_proxy(SERVICE, ROOT + "/Manager", "org.moored.Engine1.Manager")
seen["version"] = manager.Version
seen["listed"] = [row[2] for row in get_native(manager.ListContainers({}))]

objects = bus.get_proxy(SERVICE, ROOT, "org.freedesktop.DBus.ObjectManager")
seen["objects"] = len(objects.GetManagedObjects())

path = manager.GetContainer("web")
container = bus.get_proxy(SERVICE, path, "org.moored.Engine1.Container")
seen["state"] = container.State

# Changes arrive by themselves.
changes = []
loop = EventLoop()
properties = bus.get_proxy(SERVICE, path, "org.freedesktop.DBus.Properties")


def on_change(interface, changed, invalidated):
    state = get_native(changed).get("State")
    if state is not None:
        changes.append(state)
    if state == "running":
        loop.quit()


properties.PropertiesChanged.connect(on_change)
container.Pause()
seen["paused"] = container.State
container.Unpause()
GLib.timeout_add_seconds(20, loop.quit)
loop.run()
seen["changes"] = changes

exit_code, out, err = container.ExecCapture(["sh", "-c", "echo out; echo err >&2; exit 3"], {})
seen["exec"] = [exit_code, bytes(out).decode(), bytes(err).decode()]

# Logs through a file descriptor.
with_fds = bus.get_proxy(SERVICE, path, "org.moored.Engine1.Container", client=GLibClientUnix)
stream = with_fds.OpenLogs({"Format": get_variant(Str, "raw"), "Follow": get_variant(Bool, False)})
with os.fdopen(stream if isinstance(stream, int) else stream.take(), "rb") as logs:
    seen["logs"] = logs.read().decode()

try:
    manager.GetContainer("nobody")
except Exception as error:
    seen["error"] = getattr(error, "dbus_name", None) or str(error)
print(json.dumps(seen))
