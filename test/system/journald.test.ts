import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SystemRig } from '../support/system-rig.ts';

const obstacle = SystemRig.obstacle();
const DAEMON_JSON = JSON.stringify({ 'log-driver': 'journald', 'live-restore': true, bridge: 'none' });

describe.skipIf(obstacle !== null)(
  `the journald log driver${obstacle === null ? '' : ` (skipped: ${obstacle})`}`,
  () => {
    let rig: SystemRig;

    beforeAll(async () => {
      rig = await SystemRig.boot({ installed: true, files: { '/etc/docker/daemon.json': DAEMON_JSON } });
      await rig.ok('systemctl start docker.socket docker.service');
      await rig.importBusybox();
    });

    afterAll(async () => {
      await rig[Symbol.asyncDispose]();
    });

    const entries = async (match: string): Promise<readonly Readonly<Record<string, string>>[]> => {
      const text = await rig.ok(`journalctl --no-pager -o json ${match}`);
      return (
        text
          .split('\n')
          .filter((line) => line !== '')
          .map((line) => JSON.parse(line) as Record<string, string>)
          // The engine's own words about the container go by the same fields.
          .filter(({ SYSLOG_IDENTIFIER }) => SYSLOG_IDENTIFIER !== 'docker')
      );
    };

    it('gives each line with its container to the journal, and docker logs', async () => {
      const id = await rig.ok(
        `docker run -d --name web --log-opt tag='{{.ImageName}}/{{.Name}}' busybox sh -c 'echo out; sleep 0.1; echo err >&2'`,
      );
      await rig.ok('docker wait web');
      const found = await entries('CONTAINER_NAME=web');
      expect(found).toMatchObject([
        { PRIORITY: '6', CONTAINER_ID: id.slice(0, 12), CONTAINER_ID_FULL: id, CONTAINER_TAG: 'busybox/web' },
        { PRIORITY: '3', SYSLOG_IDENTIFIER: 'busybox/web' },
      ]);
      expect(found.map(({ MESSAGE }) => MESSAGE?.trim())).toEqual(['out', 'err']);
      const logs = await rig.run('docker logs web');
      expect([logs.stdout, logs.stderr]).toEqual(['out\n', 'err\n']);
      await rig.ok('docker rm web');
    });

    it('loses no line while the engine is killed and journald restarts', async () => {
      const lines = 'i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo $i; sleep 0.01; done';
      await rig.ok(`docker run -d --name loop busybox sh -c '${lines}'`);
      await rig.ok('kill -KILL $(systemctl show docker -p MainPID --value)');
      await rig.ok('systemctl restart systemd-journald');
      await rig.until('docker ps', 'the engine');
      expect(await rig.ok('docker wait loop')).toBe('0');
      const expected = Array.from({ length: 200 }, (_, index) => String(index + 1));
      await rig.ok('journalctl --sync');
      expect((await entries('CONTAINER_NAME=loop')).map(({ MESSAGE }) => MESSAGE?.trim())).toEqual(expected);
      expect((await rig.ok('docker logs loop')).split('\n')).toEqual(expected);
      await rig.ok('docker rm loop');
    });

    it.each([
      ['--log-opt max-size=1m', `unknown log opt 'max-size' for journald log driver`],
      [`--log-opt tag='{{.Nonsense}}'`, `can't evaluate field Nonsense in type *logger.Info`],
      [`--log-opt tag='{{if .ID}}x{{end}}'`, 'only {{.Name}} and its like are supported'],
      ['--log-opt mode=sideways', 'logger: logging mode not supported: sideways'],
      [`--log-opt env-regex='('`, `log opt 'env-regex': error parsing regexp: (`],
    ])('refuses %s', async (options, text) => {
      const refused = await rig.run(`docker create ${options} busybox true`);
      expect(refused.code).not.toBe(0);
      expect(refused.stderr).toContain(text);
    });

    it('has labels and variables beside each line, whatever conmon can write', async () => {
      const what = '--label team=a --env MODE=fast --log-opt labels=team --log-opt env=MODE';
      await rig.ok(`docker run --name labelled ${what} busybox sh -c 'echo x; echo y >&2'`);
      await rig.until('test $(journalctl -q -o cat TEAM=a MODE=fast | wc -l) -ge 2', 'both lines');
      const found = await entries('CONTAINER_NAME=labelled TEAM=a');
      expect(found).toMatchObject([
        { TEAM: 'a', MODE: 'fast', IMAGE_NAME: 'busybox', PRIORITY: '6' },
        { TEAM: 'a', MODE: 'fast', IMAGE_NAME: 'busybox', PRIORITY: '3' },
      ]);
      expect(found.map(({ MESSAGE }) => MESSAGE?.trim())).toEqual(['x', 'y']);
      await rig.ok('docker rm labelled');
    });

    it('does not start a container whose log would go nowhere', async () => {
      await rig.ok('docker create --name mute busybox true');
      await rig.ok('mv /run/systemd/journal/socket /run/systemd/journal/socket.away');
      const refused = await rig.run('docker start mute');
      await rig.ok('mv /run/systemd/journal/socket.away /run/systemd/journal/socket');
      expect(refused.stderr).toContain('failed to initialize logging driver: journald is not enabled on this host');
      expect(await rig.ok('docker start mute')).toBe('mute');
      await rig.ok('docker rm -f mute');
    });
  },
);
