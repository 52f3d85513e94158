/** /etc/sysconfig/docker over D-Bus, with busctl as the client, systemd around, and an editor that knows nothing of us. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SystemRig } from '../support/system-rig.ts';

const obstacle = SystemRig.obstacle();
const FILE = '/etc/sysconfig/docker';
const CONFIG = 'org.moored.Engine1 /org/moored/Engine1/Config org.moored.Engine1.Config';

describe.skipIf(obstacle !== null)(
  `the configuration over D-Bus${obstacle === null ? '' : ` (skipped: ${obstacle})`}`,
  () => {
    let rig: SystemRig;

    beforeAll(async () => {
      rig = await SystemRig.boot({ installed: true });
      await rig.ok('systemctl start docker.service');
    });
    afterAll(async () => {
      await rig[Symbol.asyncDispose]();
    });

    /** A method's answer as busctl's JSON has it. */
    const call = async (member: string, ...words: readonly string[]): Promise<readonly unknown[]> => {
      const answer = await rig.ok(`busctl --json=short -- call ${CONFIG} ${member} ${words.map(quoted).join(' ')}`);
      return answer === '' ? [] : (JSON.parse(answer) as { readonly data: readonly unknown[] }).data;
    };
    const property = async (name: string): Promise<unknown> =>
      (JSON.parse(await rig.ok(`busctl --json=short get-property ${CONFIG} ${name}`)) as { readonly data: unknown })
        .data;
    const refusal = async (member: string, ...words: readonly string[]): Promise<string> => {
      const { code, stderr } = await rig.run(`busctl -- call ${CONFIG} ${member} ${words.map(quoted).join(' ')}`);
      expect(code).not.toBe(0);
      return stderr;
    };
    const set = (key: string, value: string, ...options: readonly string[]): Promise<readonly unknown[]> =>
      call('Set', 'a{sv}sa{sv}', '1', key, 's', value, '', ...(options.length === 0 ? ['0'] : options));
    const effective = async (name: string): Promise<unknown> => {
      const [options] = (await call('GetOptions')) as [Record<string, { readonly data: unknown }>];
      return options[name]?.data;
    };

    it('shows keys with their metadata, options with where they come from', async () => {
      const [keys] = (await call('List')) as [Record<string, Record<string, { readonly data: unknown }>>];
      expect(keys['DOCKER_LOG_LEVEL']).toMatchObject({
        Type: { data: 'list(debug,info,warn,error,fatal)' },
        Default: { data: 'info' },
        ServiceReload: { data: ['docker'] },
        File: { data: FILE },
        IsSet: { data: false },
      });
      expect(await call('Get', 's', 'DOCKER_OPTS')).toMatchObject(['', { Path: { data: 'System/Management' } }]);
      expect(await refusal('Get', 's', 'NONE')).toContain('no such key: NONE');
      expect(await effective('log-level')).toBe('info');
      expect(await property('Writable')).toBe(true);
      expect(await property('Files')).toContain(FILE);
    });

    it('parses and formats flags', async () => {
      expect(await call('ParseOptions', 's', '-D --label "a=b c"')).toEqual([
        { debug: { type: 'b', data: true }, labels: { type: 'as', data: ['a=b c'] } },
        [],
      ]);
      expect(await call('FormatOptions', 'a{sv}', '1', 'labels', 'as', '1', 'a=b c')).toEqual(["'--label=a=b c'"]);
      const [valid, problems] = await call('Validate', 'a{sv}', '1', 'DOCKER_OPTS', 's', '--nonsense');
      expect([valid, problems]).toEqual([
        false,
        [['DOCKER_OPTS', 'error', 'invalid-config', expect.stringContaining('unknown flag')]],
      ]);
    });

    it('changes a key, comments and all else staying, and reloads', async () => {
      const before = await rig.ok(`cat ${FILE}`);
      const [revision, restartNeeded, checkpoint] = await set('DOCKER_LOG_LEVEL', 'debug', '1', 'Apply', 's', 'reload');
      expect(restartNeeded).toEqual([]);
      expect(revision).toBe(await property('Revision'));
      expect(await rig.ok(`cat ${FILE}`)).toBe(before.replace('DOCKER_LOG_LEVEL=""', 'DOCKER_LOG_LEVEL="debug"'));
      expect(await rig.ok(`stat -c '%a %U:%G' ${FILE}`)).toBe('644 root:root');
      expect(await rig.ok('systemctl service-log-level docker')).toBe('debug');
      await call('Rollback', 's', String(checkpoint));
      expect(await rig.ok(`cat ${FILE}`)).toBe(before);
      expect(await rig.ok('systemctl service-log-level docker')).toBe('info');
      const [backups] = (await call('ListBackups')) as [readonly (readonly unknown[])[]];
      expect(backups.length).toBeGreaterThan(0);
      expect(await rig.ok('stat -c %a /var/lib/moored/config-backups')).toBe('700');
    });

    it('says what needs a restart until there was one', async () => {
      const [, restartNeeded] = await set('DOCKER_MTU', '1400');
      expect([restartNeeded, await property('PendingRestart')]).toEqual([['mtu'], ['mtu']]);
      await rig.ok('systemctl restart docker.service');
      expect([await property('PendingRestart'), await effective('mtu')]).toEqual([[], 1400]);
      await call('Unset', 'ass', '1', 'options.mtu', '');
      expect(await effective('mtu')).toBe(1500);
      await rig.ok('systemctl restart docker.service');
    });

    it('refuses what the daemon could not start with, an old revision, and leaves the file', async () => {
      const before = await rig.ok(`cat ${FILE}`);
      expect(await refusal('Set', 'a{sv}sa{sv}', '1', 'DOCKER_OPTS', 's', '--nonsense', '', '0')).toContain(
        'unknown flag',
      );
      expect(await refusal('Set', 'a{sv}sa{sv}', '1', 'DOCKER_DEBUG', 's', 'yes', 'old', '0')).toContain('has changed');
      expect(await rig.ok(`cat ${FILE}`)).toBe(before);
      const asUser = await rig.run(`busctl call ${CONFIG} Unset ass 1 DOCKER_OPTS ''`, { user: 'bob' });
      expect(asUser.stderr).toMatch(/access denied|interactive authentication/i);
    });

    it('goes back without Confirm, stays with it', async () => {
      const options = ['2', 'Apply', 's', 'reload', 'RollbackAfter', 't'];
      await set('DOCKER_DEBUG', 'yes', ...options, '1500000');
      expect(await effective('debug')).toBe(true);
      await rig.until(`grep -q '^DOCKER_DEBUG=""' ${FILE}`, 'the rollback');
      await rig.until(`test "$(systemctl service-log-level docker)" = info`, 'the reload after it');
      const [, , checkpoint] = await set('DOCKER_DEBUG', 'yes', ...options, '60000000');
      await call('Confirm', 's', String(checkpoint));
      expect(await refusal('Confirm', 's', String(checkpoint))).toContain('waits for confirmation');
      await call('Unset', 'ass', '1', 'DOCKER_DEBUG', '');
    });

    it('goes back although the daemon is killed in between', async () => {
      const before = await rig.ok(`cat ${FILE}`);
      await set('DOCKER_SHUTDOWN_TIMEOUT', '7', '1', 'RollbackAfter', 't', '2000000');
      await rig.ok('systemctl kill -s KILL docker.service');
      await rig.until(
        `grep -q '^DOCKER_SHUTDOWN_TIMEOUT=""' ${FILE}`,
        'the rollback by the daemon that systemd started again',
      );
      expect(await rig.ok(`cat ${FILE}`)).toBe(before);
      await rig.until('systemctl is-active docker.service', 'the daemon');
      expect(await rig.run('ls /var/lib/moored/config-backups/pending.json')).toMatchObject({ code: 2 });
    });

    it('goes back at once when the daemon does not start with it', async () => {
      const before = await rig.ok(`cat ${FILE}`);
      await set('DOCKER_DATA_ROOT', '/etc/hostname/none', '1', 'RollbackAfter', 't', '600000000');
      await rig.run('systemctl restart docker.service');
      await rig.until('docker info -f "{{.DockerRootDir}}" | grep -x /var/lib/docker', 'the daemon with the old file');
      expect(await rig.ok(`cat ${FILE}`)).toBe(before);
      expect(await rig.ok('journalctl -u docker.service -o cat')).toContain('nobody confirmed the last change');
      await set('DOCKER_DEBUG', 'yes');
      await call('Unset', 'ass', '1', 'DOCKER_DEBUG', '');
    });

    it('tells of what another program wrote', async () => {
      const seen = rig.run(
        `timeout 20 busctl --system --json=short monitor org.moored.Engine1 --match "member='Changed',interface='org.moored.Engine1.Config'" | { sed -n '/"Changed"/{p;q}'; }`,
      );
      const told = { it: false };
      void seen.then(() => (told.it = true));
      // The monitor tells nobody when it listens: write until it has seen one.
      for (let turn = 0; !told.it && turn < 100; turn += 1) {
        const before = await rig.ok(`busctl --json=short get-property ${CONFIG} Revision`);
        await rig.ok(
          `sed -i 's/^DOCKER_MAX_CONCURRENT_UPLOADS=.*/DOCKER_MAX_CONCURRENT_UPLOADS="${String((turn % 5) + 1)}"/' ${FILE}`,
        );
        await rig.until(
          `test "$(busctl --json=short get-property ${CONFIG} Revision)" != '${before}'`,
          'the new revision',
        );
      }
      expect((await seen).stdout).toContain('DOCKER_MAX_CONCURRENT_UPLOADS');
    });
  },
);

function quoted(word: string): string {
  return `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
