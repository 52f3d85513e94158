import { describe, expect, it } from 'vitest';
import { configure, type Outcome } from '../../../src/config/command.ts';
import { sourcesOf, type Given } from './sources.ts';

const run = (given: Given): Outcome => {
  const answer = configure(sourcesOf(given));
  if (!('exitCode' in answer)) throw new Error('it would serve');
  return answer;
};

describe('config show', () => {
  const given: Given = {
    sysconfig: 'DOCKER_LOG_LEVEL="warn"\nDOCKER_OPTS="--dns 10.0.0.1"\nHTTP_PROXY="http://user:s3cret@proxy:1"\n',
    json: { 'log-level': 'error' },
    fragments: { 'site.json': { labels: ['rack=7'] } },
  };

  it('says what is set, by whom, over what, and whether it reloads live', () => {
    const { exitCode, stdout, stderr } = run({ ...given, argv: ['config', 'show', '--mtu', '1400'] });
    expect([exitCode, stderr]).toEqual([0, '']);
    expect(stdout.split('\n').map((line) => line.split(/ {3,}/))).toEqual([
      ['KEY', 'VALUE', 'ORIGIN', 'OVERRIDES', 'RELOAD'],
      ['dns', '[10.0.0.1]', '/etc/sysconfig/docker:2 DOCKER_OPTS', 'live'],
      ['http-proxy', 'http://xxxxx:xxxxx@proxy:1', '/etc/sysconfig/docker:3 HTTP_PROXY', 'live'],
      ['labels', '[rack=7]', '/etc/docker/daemon.json.d/site.json:2', 'live'],
      ['log-level', 'error', '/etc/docker/daemon.json:2', 'warn (/etc/sysconfig/docker:1 DOCKER_LOG_LEVEL)', 'live'],
      ['mtu', '1400', 'command line', 'restart'],
      [''],
    ]);
  });

  it('shows every option with --all', () => {
    const { stdout } = run({ ...given, argv: ['config', 'show', '--all'] });
    expect(stdout).toMatch(/^data-root +\/var\/lib\/docker +default +restart$/m);
    expect(stdout).toMatch(/^prune-targets +\[containers images networks\] +default +live$/m);
  });

  it('is for machines with --json, and keeps passwords to itself there too', () => {
    const { stdout } = run({ ...given, argv: ['config', 'show', '--json'] });
    const shown = JSON.parse(stdout) as { settings: readonly Record<string, unknown>[] };
    expect(shown).toMatchObject({ configFile: '/etc/docker/daemon.json', sysconfigFile: '/etc/sysconfig/docker' });
    expect(shown.settings.find(({ key }) => key === 'log-level')).toEqual({
      key: 'log-level',
      flag: 'log-level',
      value: 'error',
      default: 'info',
      origin: { layer: 'file', file: '/etc/docker/daemon.json', line: 2, variable: null, text: '"error"' },
      origins: [{ layer: 'file', file: '/etc/docker/daemon.json', line: 2, variable: null, text: '"error"' }],
      overridden: [
        {
          value: 'warn',
          origin: {
            layer: 'variable',
            file: '/etc/sysconfig/docker',
            line: 1,
            variable: 'DOCKER_LOG_LEVEL',
            text: 'warn',
          },
        },
      ],
      reload: 'live',
      variable: 'DOCKER_LOG_LEVEL',
      own: false,
    });
    expect(stdout).not.toContain('s3cret');
  });

  it('answers bad configuration as the daemon does', () => {
    const { exitCode, stdout, stderr } = run({ ...given, argv: ['config', 'show', '-l', 'info'] });
    expect([exitCode, stdout]).toEqual([1, '']);
    expect(stderr).toContain('log-level: (from flag: info, from file: error)\n');
    expect(stderr).toContain(
      'error: /etc/docker/daemon.json:2: log-level: specified as a flag as well (command line). Remove',
    );
  });

  it.each([
    [['config'], 0],
    [['config', '--help'], 0],
    [['config', 'show', '--help'], 0],
    [['config', 'set'], 1],
  ])('%j explains itself', (argv, exitCode) => {
    const outcome = run({ argv });
    expect(outcome.exitCode).toBe(exitCode);
    expect(outcome.stdout + outcome.stderr).toContain('Usage:  moored config show [--all] [--json] [OPTIONS]');
  });
});

describe('--validate', () => {
  const argv = ['--validate'];

  it('says OK on stderr, as dockerd', () => {
    expect(run({ argv })).toEqual({ exitCode: 0, stdout: '', stderr: 'configuration OK\n' });
  });

  it('tells what is odd', () => {
    expect(run({ argv, json: '{"selinux-enabled": true}' }).stderr).toBe(
      'warning: /etc/docker/daemon.json:1: selinux-enabled: has no effect: this version of moored does not label containers for SELinux\n' +
        'configuration OK\n',
    );
  });

  it('warns of a TCP address without client certificates', () => {
    const host = ['-H', 'tcp://0.0.0.0:2375'];
    expect(run({ argv: [...argv, ...host] }).stderr).toBe(
      'warning: hosts: tcp://0.0.0.0:2375 lets everybody who reaches it become root on this host. Set tlsverify, with tlscacert, tlscert and tlskey\nconfiguration OK\n',
    );
    expect(run({ argv: [...argv, ...host, '--tlsverify'] }).stderr).toBe('configuration OK\n');
  });

  it('refuses in dockerd’s words, and tells the places of all unknown keys', () => {
    expect(run({ argv, json: '{"nope": 1,\n"neither": 2}' })).toEqual({
      exitCode: 1,
      stdout: '',
      stderr:
        "unable to configure the Docker daemon with file /etc/docker/daemon.json: the following directives don't match any configuration option: nope, neither\n" +
        'error: /etc/docker/daemon.json:1: nope: no such option. Remove it, or mend its name\n' +
        'error: /etc/docker/daemon.json:2: neither: no such option. Remove it, or mend its name\n',
    });
  });

  it('fails on a trap of the sysconfig file with file, line and cure', () => {
    const { exitCode, stderr } = run({ argv, sysconfig: '# c\nDOCKER_OPTS="--debug"   # be loud\n' });
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/error: \/etc\/sysconfig\/docker:2: DOCKER_OPTS: .+\. .+/);
  });

  it('fails on what systemd does not read at all, although the daemon starts', () => {
    const sysconfig = 'export DOCKER_LOG_LEVEL="debug"\n';
    const { exitCode, stderr } = run({ argv, sysconfig });
    expect([exitCode, stderr.split('\n')[0]]).toEqual([
      1,
      expect.stringContaining('unable to configure the Docker daemon: '),
    ]);
    expect(configure(sourcesOf({ sysconfig }))).toHaveProperty('problems');
  });
});

describe('the start', () => {
  it.each([
    [['--version'], 'Docker version 1.2.3, build moored\n'],
    [['-v'], 'Docker version 1.2.3, build moored\n'],
    [['--help'], 'config-conflicts'],
    [['-h'], '--data-root'],
  ])('%j prints and ends', (argv, text) => {
    const { exitCode, stdout } = run({ argv });
    expect(exitCode).toBe(0);
    expect(stdout).toContain(text);
  });
});
