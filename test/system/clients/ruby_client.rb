# What a YaST module does with the engine over ruby-dbus; prints one JSON object of what it saw.
require "dbus"
require "json"

SERVICE = "org.moored.Engine1"
ROOT = "/org/moored/Engine1"
bus = DBus::SystemBus.instance
service = bus.service(SERVICE)
seen = {}

object = service.object(ROOT + "/Manager")
object.introspect
manager = object["org.moored.Engine1.Manager"]
seen["version"] = manager["Version"]
seen["listed"] = manager.ListContainers({})[0].map { |row| row[2] }

path = manager.GetContainer("web")[0]
object = service.object(path)
object.introspect
container = object["org.moored.Engine1.Container"]
seen["state"] = container["State"]
# A number without a type is an `i` to ruby-dbus.
lines, _cursor, _more = container.GetLogs({ "Tail" => 10 })
seen["logs"] = lines.map { |_time, _stream, bytes| bytes.pack("C*") }

# A long operation without signals: start it, wait for the job.
job = container.Restart({ "Timeout" => ["t", 0] })[0]
seen["job"] = job
result, _details = manager.WaitJob(job[/\d+\z/].to_i, 30_000_000)
seen["result"] = result
seen["state_after"] = container["State"]

# The configuration editor's page.
object = service.object(ROOT + "/Config")
object.introspect
config = object["org.moored.Engine1.Config"]
keys = config.List[0]
seen["type"] = keys["DOCKER_STORAGE_DRIVER"]["Type"]
seen["path"] = keys["DOCKER_OPTS"]["Path"]
valid, problems = config.Validate({ "DOCKER_LOG_LEVEL" => ["s", "loud"] })
seen["valid"] = valid
seen["problems"] = problems.map { |problem| problem[0] }

begin
  manager.GetContainer("nobody")
rescue DBus::Error => e
  seen["error"] = e.name
end
puts JSON.generate(seen)
