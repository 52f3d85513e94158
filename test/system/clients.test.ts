/** The bus clients that administrators and their tools use, each on the same running engine. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SystemRig } from '../support/system-rig.ts';

const obstacle = SystemRig.obstacle();
const MANAGER = 'org.moored.Engine1 /org/moored/Engine1/Manager org.moored.Engine1.Manager';

describe.skipIf(obstacle !== null)(`bus clients${obstacle === null ? '' : ` (skipped: ${obstacle})`}`, () => {
  let rig: SystemRig;
  let container: string;

  beforeAll(async () => {
    rig = await SystemRig.boot({ installed: true });
    await rig.ok('systemctl start docker.socket');
    await rig.importBusybox();
    await rig.ok('docker run -d --name web --label role=front busybox sh -c "echo hello; exec sleep 10000"');
    const id = await rig.ok('docker inspect -f "{{.Id}}" web');
    container = `/org/moored/Engine1/container/${id}`;
    await rig.until('docker logs web | grep -q hello', 'the first line of web');
  });
  afterAll(async () => {
    await rig[Symbol.asyncDispose]();
  });

  it('shows the tree, the interfaces and the properties to busctl', async () => {
    const tree = await rig.ok('busctl tree --list org.moored.Engine1');
    expect(tree.split('\n')).toEqual(
      expect.arrayContaining(['/org/moored/Engine1/Manager', '/org/moored/Engine1/Config', container]),
    );
    const introspection = await rig.ok(`busctl introspect org.moored.Engine1 ${container}`);
    expect(introspection).toMatch(/org\.moored\.Engine1\.Container\s+interface/);
    expect(introspection).toMatch(/\.State\s+property\s+s\s+"running"\s+emits-change/);
    expect(introspection).toMatch(/\.Id\s+property\s+s\s+"[0-9a-f]{64}"\s+const/);
    expect(await rig.ok(`busctl call ${MANAGER} GetContainer s web`)).toBe(`o "${container}"`);
    const set = await rig.run(
      `busctl set-property org.moored.Engine1 ${container} org.moored.Engine1.Container State s exited`,
    );
    expect(set.code).not.toBe(0);
    expect(await rig.ok(`busctl get-property org.moored.Engine1 ${container} org.moored.Engine1.Container State`)).toBe(
      's "running"',
    );
  });

  it('answers gdbus, with errors by name', async () => {
    const call = `gdbus call --system --dest org.moored.Engine1 --object-path`;
    expect(
      await rig.ok(`${call} ${container} --method org.moored.Engine1.Container.ExecCapture "['echo','hi']" '{}'`),
    ).toBe('(0, [byte 0x68, 0x69, 0x0a], @ay [])');
    const missing = await rig.run(
      `${call} /org/moored/Engine1/Manager --method org.moored.Engine1.Manager.GetContainer nobody`,
    );
    expect(missing.stderr).toContain('org.moored.Engine1.Error.NoSuchContainer');
    expect(await rig.ok(`gdbus introspect --system --dest org.moored.Engine1 --object-path ${container}`)).toContain(
      'interface org.moored.Engine1.Container {',
    );
  });

  it('serves a Python script over dasbus: properties, changes, errors, a descriptor', async () => {
    const seen = JSON.parse(await client('/usr/bin/python3 -', 'dasbus_client.py')) as Record<string, unknown>;
    expect(seen).toMatchObject({
      listed: ['web'],
      state: 'running',
      paused: 'paused',
      changes: ['paused', 'running'],
      exec: [3, 'out\n', 'err\n'],
      logs: 'hello\n',
      error: 'org.moored.Engine1.Error.NoSuchContainer',
    });
    expect(seen['objects']).toBeGreaterThan(4);
  });

  it('serves a YaST module over ruby-dbus: tables, logs, a job, the configuration', async () => {
    const seen = JSON.parse(await client('ruby -', 'ruby_client.rb')) as Record<string, unknown>;
    expect(seen).toMatchObject({
      listed: ['web'],
      state: 'running',
      logs: ['hello\n'],
      result: 'done',
      state_after: 'running',
      path: 'System/Management',
      valid: false,
      problems: ['DOCKER_LOG_LEVEL'],
      error: 'org.moored.Engine1.Error.NoSuchContainer',
    });
    expect(seen['type']).toMatch(/^list\(/);
  });

  function client(interpreter: string, name: string): Promise<string> {
    return rig.ok(interpreter, { stdin: readFileSync(new URL(`clients/${name}`, import.meta.url)) });
  }
});
