/** Who may do what: polkit's answer for root, the docker group, a user with a rule of the administrator's, and nobody. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CommandResult } from '../support/engine.ts';
import { SystemRig } from '../support/system-rig.ts';

const obstacle = SystemRig.obstacle();

/** bob may start, stop and restart `web`, and what is labelled `team=bob`: nothing else. */
const RULE = `polkit.addRule(function(action, subject) {
  if (action.id == "org.moored.Engine1.manage-containers" && subject.user == "bob" &&
      (action.lookup("container") == "web" || action.lookup("label.team") == "bob") &&
      ["Start", "Stop", "Restart"].indexOf(action.lookup("operation")) >= 0) {
    return polkit.Result.YES;
  }
});
`;

describe.skipIf(obstacle !== null)(`polkit${obstacle === null ? '' : ` (skipped: ${obstacle})`}`, () => {
  let rig: SystemRig;

  beforeAll(async () => {
    rig = await SystemRig.boot({ installed: true, files: { '/etc/polkit-1/rules.d/10-bob.rules': RULE } });
    await rig.ok('usermod -aG docker alice && systemctl start docker.socket');
    await rig.importBusybox();
    await rig.ok('docker run -d --name web busybox sleep 10000');
    await rig.ok('docker run -d --name db busybox sleep 10000');
    await rig.ok('docker run -d --name own --label team=bob busybox sleep 10000');
  });
  afterAll(async () => {
    await rig[Symbol.asyncDispose]();
  });

  it('lets the docker group manage containers, but not the configuration', async () => {
    expect(await restart('db', 'alice')).toMatchObject({ code: 0 });
    const denied = await rig.run(
      `busctl call org.moored.Engine1 /org/moored/Engine1/Config org.moored.Engine1.Config Unset ass 1 DOCKER_OPTS ""`,
      { user: 'alice' },
    );
    expect(denied.stderr).toMatch(/access denied|interactive authentication/i);
  });

  it('lets one user restart one container by a rule, without the docker group', async () => {
    const startedAt = await rig.ok('docker inspect -f "{{.State.StartedAt}}" web');
    expect(await restart('web', 'bob')).toMatchObject({ code: 0 });
    await rig.until(
      `test "$(docker inspect -f '{{.State.StartedAt}}' web)" != "${startedAt}" && docker inspect -f '{{.State.Running}}' web | grep -q true`,
      'the restart of web',
    );
    expect(await restart('own', 'bob')).toMatchObject({ code: 0 });
  });

  it('refuses that user everything else, and the REST socket', async () => {
    const other = await restart('db', 'bob');
    expect(other.code).not.toBe(0);
    expect(other.stderr).toMatch(/access denied|interactive authentication/i);
    const kill = await call('web', 'bob', 'Kill s KILL');
    expect(kill.code).not.toBe(0);
    const list = await rig.run(
      `busctl call org.moored.Engine1 /org/moored/Engine1/Manager org.moored.Engine1.Manager ListContainers 'a{sv}' 0`,
      { user: 'bob' },
    );
    expect(list.code).not.toBe(0);
    const objects = `busctl call org.moored.Engine1 /org/moored/Engine1 org.freedesktop.DBus.ObjectManager GetManagedObjects`;
    expect((await rig.run(objects, { user: 'bob' })).stderr).toMatch(/access denied|interactive authentication/i);
    expect((await rig.run('busctl --list tree org.moored.Engine1', { user: 'bob' })).stdout).not.toMatch(
      /[0-9a-f]{64}/,
    );
    expect(await rig.ok(objects, { user: 'alice' })).toContain('"web"');
    const socket = await rig.run('docker ps', { user: 'bob' });
    expect(socket.stderr).toContain('permission denied');
    expect(await rig.ok('docker ps -q --filter name=web', { user: 'alice' })).not.toBe('');
  });

  it('sends signals to root and the docker group alone', async () => {
    const id = await rig.ok('docker inspect -f "{{.Id}}" db');
    const monitor = (user: string): Promise<CommandResult> =>
      rig.run(`exec timeout 60 stdbuf -oL gdbus monitor --system --dest org.moored.Engine1 > /tmp/seen-by-${user}`, {
        user,
      });
    const monitors = [monitor('alice'), monitor('bob')];
    await rig.until(
      "grep -q 'is owned by' /tmp/seen-by-alice && grep -q 'is owned by' /tmp/seen-by-bob",
      'both monitors',
    );
    await rig.ok('docker pause db && docker unpause db && docker volume create seen');
    await rig.until("grep -q 'InterfacesAdded.*volume/seen' /tmp/seen-by-alice", 'the new volume at alice');
    await rig.until(`grep -q '${id}.*PropertiesChanged.*running' /tmp/seen-by-alice`, 'the change at alice');
    await rig.ok('pkill gdbus');
    await Promise.all(monitors);
    expect(await rig.ok('cat /tmp/seen-by-bob')).not.toMatch(/Changed|Event|Interfaces/);
  });

  async function call(name: string, user: string, member: string): Promise<CommandResult> {
    const id = await rig.ok(`docker inspect -f "{{.Id}}" ${name}`);
    return rig.run(
      `busctl call org.moored.Engine1 /org/moored/Engine1/container/${id} org.moored.Engine1.Container ${member}`,
      { user },
    );
  }

  function restart(name: string, user: string): Promise<CommandResult> {
    return call(name, user, `Restart 'a{sv}' 1 Timeout t 0`);
  }
});
