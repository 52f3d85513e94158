import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SystemRig } from '../support/system-rig.ts';

const obstacle = SystemRig.obstacle();
const SCHEDULE = '/org/moored/Engine1/schedule';
const SYSCONFIG = [
  'DOCKER_PRUNE_SCHEDULE="0 3 * * 0"',
  'DOCKER_PRUNE_TARGETS="containers"',
  'DOCKER_PRUNE_KEEP="keep-*"',
  '',
].join('\n');

describe.skipIf(obstacle !== null)(`schedules on a host${obstacle === null ? '' : ` (skipped: ${obstacle})`}`, () => {
  let rig: SystemRig;

  beforeAll(async () => {
    rig = await SystemRig.boot({
      installed: true,
      files: { '/etc/docker/daemon.json': '{"bridge":"none"}', '/etc/sysconfig/docker': SYSCONFIG },
    });
    await rig.ok('systemctl enable --now docker.socket && systemctl start docker.service');
    await rig.importBusybox();
  });

  afterAll(async () => {
    await rig[Symbol.asyncDispose]();
  });

  const property = async (name: string, what: string): Promise<string> =>
    rig.ok(`busctl get-property org.moored.Engine1 ${SCHEDULE}/${name} org.moored.Engine1.Schedule ${what}`);

  it('show the prune of the sysconfig file as an object, and run it now as a job', async () => {
    expect(await property('prune', 'Cron')).toBe('s "0 3 * * 0"');
    expect(await property('prune', 'Origin')).toBe('s "sysconfig"');
    expect(await property('prune', 'NextRun')).not.toBe('t 0');
    await rig.ok('docker create --name keep-me busybox true && docker create --name unused busybox true');
    expect(
      await rig.ok(
        `busctl call org.moored.Engine1 ${SCHEDULE}/prune org.moored.Engine1.Schedule RunNow | sed 's/[0-9]*"$//'`,
      ),
    ).toBe('o "/org/moored/Engine1/job/');
    await rig.until(
      `busctl get-property org.moored.Engine1 ${SCHEDULE}/prune org.moored.Engine1.Schedule LastResult | grep done`,
      'the result',
    );
    expect(await property('prune', 'LastMessage')).toBe('s "removed container unused"');
    expect(await rig.ok(`docker ps -a --format '{{.Names}}'`)).toBe('keep-me');
    expect(await rig.ok('journalctl --no-pager -o cat SCHEDULE=prune')).toContain('removed container unused');
    const refused = await rig.run(
      `busctl call org.moored.Engine1 ${SCHEDULE}/prune org.moored.Engine1.Schedule RunNow`,
      { user: 'bob' },
    );
    expect(refused.code).not.toBe(0);
    await rig.ok('docker rm keep-me');
  });

  it('follow the file at a reload', async () => {
    await rig.ok(`sed -i 's/0 3/0 5/' /etc/sysconfig/docker && systemctl reload docker.service`);
    await rig.until(
      `busctl get-property org.moored.Engine1 ${SCHEDULE}/prune org.moored.Engine1.Schedule Cron | grep '0 5'`,
      'the new time',
    );
    await rig.ok(`sed -i '/PRUNE_SCHEDULE/d' /etc/sysconfig/docker && systemctl reload docker.service`);
    await rig.until(`! busctl tree --list org.moored.Engine1 | grep schedule/prune`, 'no schedule');
  });

  it('of labels come and go with their containers, and bring the engine up at boot', async () => {
    await rig.ok(`docker create --name tick --label 'moored.schedule=* * * * * *' busybox echo tick`);
    const id = await rig.ok(`docker inspect -f '{{.Id}}' tick`);
    await rig.until('docker logs tick | grep tick', 'a run');
    const entry = await rig.ok('journalctl --no-pager -o json -n 1 SCHEDULE=container-tick OUTCOME=done');
    expect(JSON.parse(entry)).toMatchObject({
      SCHEDULE: 'container-tick',
      CONTAINER_NAME: 'tick',
      CONTAINER_ID_FULL: id,
      PRIORITY: '6',
    });
    await rig.reboot();
    await rig.until('systemctl is-active docker.service', 'the engine without anybody asking');
    await rig.until('journalctl -b --no-pager -o cat SCHEDULE=container-tick | grep done', 'a run after the boot');
    await rig.ok('docker rm -f tick');
    await rig.until(`! busctl tree --list org.moored.Engine1 | grep schedule/container`, 'no schedule');
  });

  it('are added, changed and removed by D-Bus', async () => {
    const manager = 'busctl call org.moored.Engine1 /org/moored/Engine1/Manager org.moored.Engine1.Manager';
    const options = '2 Reference s busybox TimeZone s Europe/Berlin';
    expect(await rig.ok(`${manager} AddSchedule 'sssa{sv}' fresh @daily pull ${options}`)).toBe(
      `o "${SCHEDULE}/fresh"`,
    );
    expect(await property('fresh', 'TimeZone')).toBe('s "Europe/Berlin"');
    await rig.ok('systemctl restart docker.service');
    expect(await property('fresh', 'Cron')).toBe('s "@daily"');
    const object = `busctl call org.moored.Engine1 ${SCHEDULE}/fresh org.moored.Engine1.Schedule`;
    const refused = await rig.run(`${object} Modify 'sa{sv}' '61 * * * *' 0`);
    expect(refused.stderr).toContain('invalid schedule');
    await rig.ok(`${object} Modify 'sa{sv}' '0 1 * * *' 0`);
    expect(await property('fresh', 'Cron')).toBe('s "0 1 * * *"');
    await rig.ok(`${object} Remove`);
    expect((await rig.run(`${object} Remove`)).code).not.toBe(0);
  });
});
