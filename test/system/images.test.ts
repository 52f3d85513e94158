/** Images on a host: the collection by one variable and a reload, the check of the store, by journal and D-Bus. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MESSAGE_IDS } from '../../src/service/log/message-ids.ts';
import { SystemRig } from '../support/system-rig.ts';

const obstacle = SystemRig.obstacle();
const NODE = new URL('../../bin/node', import.meta.url).pathname;
const BLOBS = '/var/lib/docker/content/blobs/sha256';
const MANAGER = '/org/moored/Engine1/Manager org.moored.Engine1.Manager';
/** After these days unused the collection takes an image, where nobody says otherwise. */
const DEFAULT_AGE_DAYS = 30;

describe.skipIf(obstacle !== null)(`images on a host${obstacle === null ? '' : ` (skipped: ${obstacle})`}`, () => {
  let rig: SystemRig;

  beforeAll(async () => {
    rig = await SystemRig.boot({
      installed: true,
      files: { '/etc/docker/daemon.json': '{"bridge":"none"}', '/etc/sysconfig/docker': 'DOCKER_OPTS=""\n' },
    });
    await rig.ok('usermod -aG docker alice && systemctl enable --now docker.socket && systemctl start docker.service');
    await rig.importBusybox();
  });
  afterAll(async () => {
    await rig[Symbol.asyncDispose]();
  });

  const makeImage = async (name: string): Promise<void> => {
    await rig.ok(`cd $(mktemp -d) && echo ${name} > name && tar -c name | docker import - ${name}`);
  };
  const names = async (): Promise<readonly string[]> =>
    (await rig.ok(`docker images --format '{{.Repository}}:{{.Tag}}'`)).split('\n').toSorted();

  /** Makes images look unused for so many days, while the engine is down. */
  const age = async (days: number, ...tags: readonly string[]): Promise<void> => {
    await rig.ok('systemctl stop docker.socket docker.service');
    const then = BigInt(Date.now() - days * 86_400_000) * 1_000_000n;
    const where = `SELECT image_id FROM image_tag WHERE tag IN (${tags.map((tag) => `'${tag}'`).join()})`;
    await rig.ok(`${NODE} --input-type=module`, {
      stdin: `import { DatabaseSync } from 'node:sqlite';
        const db = new DatabaseSync('/var/lib/docker/state.db');
        db.exec("UPDATE image SET used_at = ${String(then)}, created_at = ${String(then)} WHERE id IN (${where})");
        db.close();`,
    });
    await rig.ok('systemctl start docker.socket docker.service');
  };

  /** The last entry of a stable message. */
  const told = async (message: keyof typeof MESSAGE_IDS): Promise<Readonly<Record<string, string>>> => {
    const line = `journalctl --sync; journalctl --no-pager -o json -n 1 MESSAGE_ID=${MESSAGE_IDS[message]} | grep .`;
    return JSON.parse(await rig.until(line, message)) as Readonly<Record<string, string>>;
  };

  /** Calls a method that starts a job and waits for its end. */
  const job = async (call: string, user = 'root'): Promise<string> => {
    const started = await rig.ok(`busctl call org.moored.Engine1 ${MANAGER} ${call}`, { user });
    const path = /"(.*)"/.exec(started)?.[1] ?? '';
    const get = `busctl get-property org.moored.Engine1 ${path} org.moored.Engine1.Job`;
    await rig.until(`${get} State | grep finished`, `the end of ${call}`);
    return rig.ok(`${get} Result`);
  };

  it('are collected by one variable and a reload, and each that goes is in the journal', async () => {
    for (const name of ['app:1', 'app:2', 'fresh:1', 'other:1']) await makeImage(name);
    await age(DEFAULT_AGE_DAYS + 1, '1', '2');
    const schedules = `busctl tree --list org.moored.Engine1 | grep schedule/`;
    expect((await rig.run(schedules)).stdout).toBe('');
    await rig.ok(`docker tag fresh:1 fresh:1`);
    await rig.ok(`echo 'DOCKER_IMAGE_GC="yes"' >> /etc/sysconfig/docker && systemctl reload docker.service`);
    const schedule = await rig.until(schedules, 'the schedule');
    const property = async (name: string): Promise<string> =>
      rig.ok(`busctl get-property org.moored.Engine1 ${schedule} org.moored.Engine1.Schedule ${name}`);
    expect(await property('Cron')).toBe('s "30 3 * * *"');
    expect(await property('NextRun')).not.toBe('t 0');
    expect(await names()).toHaveLength(5);
    await rig.ok(`busctl call org.moored.Engine1 ${schedule} org.moored.Engine1.Schedule RunNow`);
    await rig.until(`! docker inspect app:1`, 'the collection');
    // Of each repository the newest tag stays.
    expect(await names()).toEqual(['app:2', 'busybox:latest', 'fresh:1', 'other:1']);
    expect(await told('image-gc-remove')).toMatchObject({
      MESSAGE: expect.stringMatching(/^image app:1 collected: not used since /) as string,
      REASON: 'unused',
      PRIORITY: '6',
    });
    expect(await told('image-gc')).toMatchObject({ COUNT: '1' });
    await rig.ok(`sed -i /IMAGE_GC/d /etc/sysconfig/docker && systemctl reload docker.service`);
    await rig.until(`! ${schedules}`, 'no schedule');
  });

  it('are collected by D-Bus for those who may', async () => {
    await makeImage('app:3');
    await age(DEFAULT_AGE_DAYS + 1, '2');
    const preview = await rig.ok(`busctl call org.moored.Engine1 ${MANAGER} PreviewImageCollection`, { user: 'alice' });
    expect(preview).toMatch(/^a\(ssstt\)t 1 "sha256:[0-9a-f]{64}" "app:2" "unused" /);
    const denied = await rig.run(`busctl call org.moored.Engine1 ${MANAGER} CollectImages 'a{sv}' 0`, { user: 'bob' });
    expect(denied.stderr).toMatch(/access denied|interactive authentication/i);
    expect(await names()).toContain('app:2');
    expect(await job(`CollectImages 'a{sv}' 0`, 'alice')).toBe('s "done"');
    expect(await names()).not.toContain('app:2');
  });

  it('are checked by D-Bus for root alone, and what is found is in the journal', async () => {
    const blob = await rig.ok(`ls -S ${BLOBS} | head -1`);
    const refused = await rig.run(`busctl call org.moored.Engine1 ${MANAGER} CheckStore 'a{sv}' 0`, { user: 'alice' });
    expect(refused.stderr).toMatch(/access denied|interactive authentication/i);
    expect(await job(`CheckStore 'a{sv}' 1 Deep b true`)).toBe('s "done"');
    const found = await rig.run(`journalctl --no-pager -o cat MESSAGE_ID=${MESSAGE_IDS['store-damaged']} | grep .`);
    expect(found.stdout).toBe('');
    await rig.ok(`cp ${BLOBS}/${blob} /root/kept && truncate -s 100 ${BLOBS}/${blob}`);
    expect(await job(`CheckStore 'a{sv}' 0`)).toBe('s "done"');
    expect(await told('store-damaged')).toMatchObject({ PRIORITY: '4', OUTCOME: 'found' });
    await rig.ok(`cp /root/kept ${BLOBS}/${blob}`);
  });

  it('are checked without the engine', async () => {
    await rig.ok('docker create --name stays busybox true');
    await rig.ok('systemctl stop docker.socket docker.service');
    expect(await rig.ok('moored check --deep')).toMatch(/nothing is wrong/);
    await rig.ok(`echo orphan > ${BLOBS}/${'a'.repeat(64)}`);
    const found = await rig.run('moored check');
    expect([found.code, found.stdout]).toEqual([1, expect.stringContaining('no image needs this blob') as string]);
    expect(await rig.ok('moored check --repair')).toContain(`repaired  blob sha256:${'a'.repeat(64)}`);
    expect(await rig.ok('moored check')).toMatch(/nothing is wrong/);
    const other = await rig.run('moored check', { user: 'bob' });
    expect(other.code).toBe(2);
    expect(await rig.ok('systemctl is-active docker.service || true')).toBe('inactive');
    await rig.ok('systemctl start docker.socket');
    expect(await rig.ok('docker start -a stays && docker rm stays')).toBe('stays');
  });
});
