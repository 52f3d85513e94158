/** The engine log in a real journal: fields, stable messages, and journald gone. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MESSAGE_IDS } from '../../src/service/log/message-ids.ts';
import { SystemRig } from '../support/system-rig.ts';

const obstacle = SystemRig.obstacle();
const FILES = { '/etc/docker/daemon.json': JSON.stringify({ bridge: 'none', iptables: false }) };

describe.skipIf(obstacle !== null)(
  `the engine log in the journal${obstacle === null ? '' : ` (skipped: ${obstacle})`}`,
  () => {
    let rig: SystemRig;
    const entries = async (match: string): Promise<readonly Readonly<Record<string, string>>[]> => {
      await rig.ok('journalctl --sync');
      const text = await rig.ok(`journalctl --no-pager -o json ${match}`);
      return text
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Record<string, string>);
    };

    beforeAll(async () => {
      rig = await SystemRig.boot({ installed: true, files: FILES });
      await rig.ok('systemctl start docker.socket docker.service');
      await rig.importBusybox();
    });

    afterAll(async () => {
      await rig[Symbol.asyncDispose]();
    });

    it('has priorities, fields and stable messages', async () => {
      const id = await rig.ok('docker run -d --name web busybox sh -c "exit 7"');
      await rig.ok('docker wait web && docker rm web');
      const life = await entries('CONTAINER_NAME=web SYSLOG_IDENTIFIER=docker');
      expect(life.map(({ MESSAGE }) => MESSAGE)).toEqual([
        'container web created',
        'container web started',
        'container web ended',
        'container web removed',
      ]);
      expect(life[2]).toMatchObject({
        CONTAINER_ID: id.slice(0, 12),
        CONTAINER_ID_FULL: id,
        CONTAINER_IMAGE: 'busybox',
        EXIT_CODE: '7',
        PRIORITY: '6',
        MESSAGE_ID: MESSAGE_IDS['container-die'],
        _SYSTEMD_UNIT: 'docker.service',
      });
      expect(await entries(`MESSAGE_ID=${MESSAGE_IDS.ready}`)).toHaveLength(1);
      await rig.write('/etc/docker/daemon.json', '{"nonsense": true}');
      await rig.run('systemctl reload docker');
      await rig.until(`journalctl -q MESSAGE_ID=${MESSAGE_IDS['reload-failed']} | grep -q nonsense`, 'the refusal');
      expect(await entries(`MESSAGE_ID=${MESSAGE_IDS['reload-failed']}`)).toMatchObject([{ PRIORITY: '3' }]);
      expect(await rig.ok('systemctl is-active docker')).toBe('active');
      await rig.write('/etc/docker/daemon.json', FILES['/etc/docker/daemon.json']);
    });

    it('goes on without journald, waits for nothing, and is back with it', async () => {
      const since = await rig.ok('systemctl show -p MainPID --value docker');
      await rig.ok(
        'systemctl stop systemd-journald.socket systemd-journald-dev-log.socket systemd-journald-audit.socket systemd-journald.service 2>/dev/null; rm -f /run/systemd/journal/socket',
      );
      for (let count = 0; count < 5; count++) await rig.ok(`docker run --name gone${String(count)} busybox true`);
      await rig.ok('systemctl start systemd-journald.socket systemd-journald-dev-log.socket systemd-journald.service');
      await rig.until('test -S /run/systemd/journal/socket', 'journald');
      await rig.ok('docker run --name back busybox true; docker rm back gone0 gone1 gone2 gone3 gone4');
      expect(await rig.ok('systemctl show -p MainPID --value docker')).toBe(since);
      const after = await entries('CONTAINER_NAME=back SYSLOG_IDENTIFIER=docker');
      expect(after.map(({ MESSAGE }) => MESSAGE)).toContain('container back started');
      // What was said meanwhile waited in memory.
      for (let count = 0; count < 5; count++) {
        const life = await entries(`CONTAINER_NAME=gone${String(count)} SYSLOG_IDENTIFIER=docker`);
        expect(life.map(({ MESSAGE }) => MESSAGE)).toEqual([
          `container gone${String(count)} created`,
          `container gone${String(count)} started`,
          `container gone${String(count)} ended`,
          `container gone${String(count)} removed`,
        ]);
      }
    });
  },
);
