# Streams of a container as a Python program has them over dasbus; prints one JSON object of what it saw.
import json
import os
import socket
import sys
from dasbus.connection import SystemMessageBus
from dasbus.typing import get_variant, Bool, Str, UInt32
from dasbus.unix import GLibClientUnix

SERVICE = "org.moored.Engine1"
bus = SystemMessageBus()
seen = {}


def container(path):
    return bus.get_proxy(SERVICE, path, "org.moored.Engine1.Container", client=GLibClientUnix)


def taken(fd):
    return fd if isinstance(fd, int) else fd.take()


def read_all(stream):
    with stream.makefile("rb") as reader:
        return reader.read()


running, waiting = container(sys.argv[1]), container(sys.argv[2])

logs = socket.socket(fileno=taken(running.OpenLogs({"Format": get_variant(Str, "raw")})))
seen["logs"] = read_all(logs).decode()

handle, exec_path = running.OpenShell("", "/bin/sh", [], ["PS1="])
shell = socket.socket(fileno=taken(handle))
shell.sendall(b"stty -echo; echo in $((6 * 7)); exit 5\n")
seen["shell"] = read_all(shell).decode().splitlines()[-1]
seen["exit_code"] = bus.get_proxy(SERVICE, exec_path, "org.moored.Engine1.Exec").Wait()

attached = socket.socket(fileno=taken(waiting.Attach({"Stderr": get_variant(Bool, False)})))
waiting.Start({})
attached.sendall(b"one\ntwo\n")
attached.shutdown(socket.SHUT_WR)
seen["attached"] = read_all(attached)[8:].decode()
seen["ended"] = list(waiting.Wait("not-running"))

root = taken(running.OpenRootDirectory())
seen["root"] = "bin" in os.listdir(root) if root in os.supports_fd else "bin" in os.listdir("/proc/self/fd/%d" % root)
os.close(root)

lines, cursor, more = running.GetLogs({"Tail": get_variant(UInt32, 1)})
seen["line"] = bytes(lines[0][2]).decode()
seen["after"] = running.GetLogs({"Cursor": get_variant(Str, cursor)})[0]

try:
    running.OpenLogs({"Format": get_variant(Str, "xml")})
except Exception as error:
    seen["error"] = getattr(error, "dbus_name", None) or str(error)

print(json.dumps(seen))
