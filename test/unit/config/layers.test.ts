import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config/config.ts';
import { formatOrigin } from '../../../src/config/origin.ts';
import { load, memoryFiles, sourcesOf, SYSCONFIG, type Given } from './sources.ts';

describe('layers', () => {
  const all: Given = {
    environment: { HTTPS_PROXY: 'http://env:1' },
    sysconfig: 'DOCKER_LOG_LEVEL="warn"\nDOCKER_MTU="1300"\nDOCKER_OPTS="--icc=false"\n',
    json: { 'log-level': 'error', mtu: 1350 },
    fragments: { '10-a.json': { mtu: 1400 }, '20-b.json': { mtu: 1450 } },
    argv: ['--ip', '127.0.0.1'],
  };

  it('give each value with where it stands', () => {
    const config = load(all);
    const said = config.settings
      .filter(({ origin }) => origin.layer !== 'default')
      .map(({ option, value, origin }) => [option.flag, value, origin.layer, formatOrigin(origin)]);
    expect(said).toEqual([
      ['https-proxy', 'http://env:1', 'environment', '$HTTPS_PROXY'],
      ['icc', false, 'sysconfig', '/etc/sysconfig/docker:3 DOCKER_OPTS'],
      ['ip', '127.0.0.1', 'command-line', 'command line'],
      ['log-level', 'error', 'file', '/etc/docker/daemon.json:2'],
      ['mtu', 1450, 'fragment', '/etc/docker/daemon.json.d/20-b.json:2'],
    ]);
    expect(config.originOf('dns').layer).toBe('default');
  });

  it('remember what a value overrides, weakest first', () => {
    const mtu = load(all).settings.find(({ option }) => option.flag === 'mtu');
    expect(mtu?.overridden.map(({ value, origin }) => [value, formatOrigin(origin)])).toEqual([
      [1300, '/etc/sysconfig/docker:2 DOCKER_MTU'],
      [1350, '/etc/docker/daemon.json:3'],
      [1400, '/etc/docker/daemon.json.d/10-a.json:2'],
    ]);
  });

  it('grow lists and maps from file to file, each entry once, and say all the places', () => {
    const config = load({
      json: { dns: ['10.0.0.1'], 'log-opts': { 'max-size': '5m', 'max-file': '2' } },
      fragments: {
        '20.json': { dns: ['10.0.0.1', '10.0.0.2'], 'log-opts': { 'max-size': '9m' } },
        '10.json': { dns: ['10.0.0.3'] },
        README: { ignored: true },
        '.hidden.json': { ignored: true },
      },
    });
    expect(config.get('dns')).toEqual(['10.0.0.1', '10.0.0.3', '10.0.0.2']);
    expect(config.get('log-opt')).toEqual({ 'max-size': '9m', 'max-file': '2' });
    const dns = config.settings.find(({ option }) => option.flag === 'dns');
    expect(dns?.origins.map(formatOrigin)).toEqual([
      '/etc/docker/daemon.json:2',
      '/etc/docker/daemon.json.d/10.json:2',
      '/etc/docker/daemon.json.d/20.json:2',
    ]);
  });

  it('let a typed list be replaced, not grown, by the file', () => {
    const given = { sysconfig: 'DOCKER_INSECURE_REGISTRIES="a:5000 b:5000"\n' };
    expect(load(given).get('insecure-registry')).toEqual(['a:5000', 'b:5000']);
    const over = load({ ...given, json: { 'insecure-registries': ['c:5000'] } });
    expect(over.get('insecure-registry')).toEqual(['c:5000']);
    expect(over.settings.find(({ option }) => option.flag === 'insecure-registry')?.overridden).toHaveLength(1);
  });

  it('join flags of both variables and of the command line as one command line', () => {
    const config = load({
      sysconfig: 'DOCKER_NETWORK_OPTIONS="--mtu 1300 --dns 10.0.0.1"\nDOCKER_OPTS="--mtu=1400 --dns 10.0.0.2"\n',
      argv: ['--dns=10.0.0.3'],
    });
    expect(config.get('mtu')).toBe(1400);
    expect(config.get('dns')).toEqual(['10.0.0.1', '10.0.0.2', '10.0.0.3']);
  });

  it('merge runtimes from everywhere: containers may use each of them', () => {
    const config = load({
      sysconfig: 'DOCKER_OPTS="--add-runtime oci=/usr/sbin/runc"\n',
      json: { runtimes: { mine: { path: '/m', runtimeArgs: ['--debug'] } } },
      argv: ['--add-runtime', 'other=/o'],
    });
    expect(config.get('add-runtime')).toEqual({ mine: '/m --debug', oci: '/usr/sbin/runc', other: '/o' });
  });

  it('are frozen', () => {
    const config = load({ json: { labels: ['a=1'] } });
    expect(Object.isFrozen(config)).toBe(true);
    expect(Object.isFrozen(config.get('label'))).toBe(true);
    expect(Object.isFrozen(config.settings)).toBe(true);
  });
});

describe('flags against files', () => {
  it('are dockerd’s error, wherever the flag stands', () => {
    const text =
      'unable to configure the Docker daemon with file /etc/docker/daemon.json: the following directives are specified ' +
      'both as a flag and in the configuration file: labels: (from flag: [a=1 b=2], from file: [c=3]), ' +
      'log-opts: (from flag: map[max-file:3 max-size:1m], from file: map[max-size:2m])';
    const given: Given = {
      sysconfig: 'DOCKER_OPTS="--label a=1 --log-opt max-size=1m"\n',
      json: { labels: ['c=3'], 'log-opts': { 'max-size': '2m' } },
      argv: ['--label', 'b=2', '--log-opt', 'max-file=3'],
    };
    expect(() => load(given)).toThrow(text);
  });

  it('name both places in the problem', () => {
    const given: Given = { sysconfig: '\nDOCKER_OPTS="-l info"\n', fragments: { 'a.json': { 'log-level': 'warn' } } };
    expect(() => load(given)).toThrow(
      expect.objectContaining({
        problems: [
          expect.objectContaining({
            file: '/etc/docker/daemon.json.d/a.json',
            line: 2,
            subject: 'log-level',
            text: 'specified as a flag as well (/etc/sysconfig/docker:2 DOCKER_OPTS)',
            cure: 'Remove one of the two, or set config-conflicts to flag-wins or file-wins',
          }),
        ],
      }),
    );
  });

  it.each([
    [1_500_000, '1.5e+06'],
    [1_000_000_000, '1e+09'],
    [999_999, '999999'],
  ])('print the number %d as Go does', (mtu, text) => {
    expect(() => load({ json: { mtu }, argv: ['--mtu', '1'] })).toThrow(`(from flag: 1, from file: ${text})`);
  });

  it('count a key even when its value counts for nothing', () => {
    expect(() => load({ json: { mtu: 0 }, argv: ['--mtu', '1400'] })).toThrow('from file: 0)');
  });

  it.each([
    ['flag-wins', 'debug', ['a=1']],
    ['file-wins', 'error', ['b=2']],
  ])('are layers with config-conflicts=%s', (mode, level, labels) => {
    const config = load({
      json: { 'config-conflicts': mode, 'log-level': 'error', labels: ['b=2'] },
      argv: ['-l', 'debug', '--label', 'a=1'],
    });
    expect(config.get('log-level')).toBe(level);
    expect(config.get('label')).toEqual(labels);
    expect(config.settings.find(({ option }) => option.flag === 'log-level')?.overridden).toHaveLength(1);
  });

  it('take the mode from a typed variable', () => {
    const sysconfig = 'DOCKER_CONFIG_CONFLICTS="flag-wins"\nDOCKER_OPTS="-l debug"\n';
    expect(load({ sysconfig, json: { 'log-level': 'warn' } }).get('log-level')).toBe('debug');
  });

  it('never arise from a typed variable or the environment', () => {
    const given: Given = {
      sysconfig: 'DOCKER_LOG_LEVEL=debug\n',
      environment: { HTTP_PROXY: 'http://a:1' },
      json: { 'log-level': 'warn', 'http-proxy': 'http://b:1' },
    };
    expect(load(given).get('log-level')).toBe('warn');
    expect(load(given).get('http-proxy')).toBe('http://b:1');
  });
});

describe('DOCKER_OPTS in ExecStart as well as in the file', () => {
  const sysconfig = `DOCKER_NETWORK_OPTIONS="--bip 10.9.0.1/24"\nDOCKER_OPTS="--label a=1 --dns '10.0.0.1'"\n`;
  const environment = { DOCKER_NETWORK_OPTIONS: '--bip 10.9.0.1/24', DOCKER_OPTS: "--label a=1 --dns '10.0.0.1'" };
  const argv = ['--add-runtime', 'oci=/r', '--bip', '10.9.0.1/24', '--label', 'a=1', '--dns', '10.0.0.1', '-D'];

  it('counts once, and as from the file', () => {
    const config = load({ sysconfig, environment, argv });
    expect(config.get('dns')).toEqual(['10.0.0.1']);
    expect(formatOrigin(config.originOf('dns'))).toBe('/etc/sysconfig/docker:2 DOCKER_OPTS');
    expect(formatOrigin(config.originOf('debug'))).toBe('command line');
    expect(config.sources.argv).toEqual(['--add-runtime', 'oci=/r', '-D']);
    expect(config.sources.environment).toEqual({});
  });

  it('is forgotten by a reload when the file no longer says it', () => {
    const running = load({ sysconfig, environment, argv });
    const next = loadConfig({ ...running.sources, files: memoryFiles({ [SYSCONFIG]: 'DOCKER_OPTS="--icc=false"\n' }) });
    expect(next.get('label')).toEqual([]);
    expect(next.get('bip')).toBe('');
    expect(next.get('icc')).toBe(false);
    expect(next.get('debug')).toBe(true);
  });

  it('counts from the environment where there is no file', () => {
    const config = load({ environment, argv: ['-D'] });
    expect(config.get('label')).toEqual(['a=1']);
    expect(formatOrigin(config.originOf('label'))).toBe('$DOCKER_OPTS');
    expect(load({ environment: { DOCKER_IPTABLES: 'no' } }).get('iptables')).toBe(false);
  });

  it('keeps flags that only look like a part of it', () => {
    const config = load({ sysconfig: 'DOCKER_OPTS="-D --icc=false"\n', argv: ['-D', '--dns', '10.0.0.1'] });
    expect(config.sources.argv).toEqual(['-D', '--dns', '10.0.0.1']);
  });
});

describe('the environment', () => {
  it('is read as dockerd does', () => {
    const config = load({
      environment: { DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: '/certs', http_proxy: 'http://p:1', NO_PROXY: 'x' },
    });
    expect([config.get('tls'), config.get('tlsverify'), config.get('tlskey')]).toEqual([true, true, '/certs/key.pem']);
    expect([config.get('http-proxy'), config.get('no-proxy')]).toEqual(['http://p:1', 'x']);
  });

  it('may come from the sysconfig file, which then counts', () => {
    const sysconfig = 'HTTP_PROXY=http://file:1\n';
    const config = load({ sysconfig, environment: { HTTP_PROXY: 'http://stale:1', NO_PROXY: 'x' } });
    expect(config.get('http-proxy')).toBe('http://file:1');
    expect(config.sources.environment).toEqual({ NO_PROXY: 'x' });
  });

  it('has the last word on the storage driver with DOCKER_DRIVER', () => {
    const config = load({ environment: { DOCKER_DRIVER: 'vfs' }, json: { 'storage-driver': 'overlay2' } });
    expect(config.get('storage-driver')).toBe('vfs');
    expect(() => load({ environment: { DOCKER_DRIVER: 'aufs' } })).toThrow('$DOCKER_DRIVER: error initializing');
  });

  it.each([
    [['--tlsverify=false'], true],
    [['--tls=false'], false],
    [[], false],
  ])('flags %j give tls %s', (argv, tls) => {
    expect(load({ argv }).get('tls')).toBe(tls);
  });

  it('puts certificates into the home directory by default', () => {
    expect(load({}).get('tlscert')).toMatch(/^\/.*\/\.docker\/cert\.pem$/);
    expect(sourcesOf({}).environment).toEqual({});
  });
});
