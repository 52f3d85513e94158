import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig, type Config } from '../../../src/config/config.ts';
import { PrintAndExit } from '../../../src/config/help.ts';
import { networkOptionsOf } from '../../../src/service/compose/engine-options.ts';
import { parseByteSize } from '../../../src/base/byte-size.ts';

let directory = '';
let file = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'moored-config-'));
  file = join(directory, 'daemon.json');
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

const load = (json: string, ...argv: string[]): Config => {
  writeFileSync(file, json);
  return loadConfig({
    argv: ['--config-file', file, '--sysconfig-file', join(directory, 'none'), ...argv],
    environment: {},
    version: '1.2.3',
  });
};

describe('flags', () => {
  it('take dockerd’s spellings', () => {
    const config = load(
      '{}',
      '-D',
      '-H',
      'unix:///a',
      '-Htcp://127.0.0.1:1',
      '--iptables=false',
      '-s=vfs',
      '-b',
      'none',
      '--mtu=1400',
      '--default-shm-size',
      '1g',
    );
    expect(config.get('debug')).toBe(true);
    expect(config.get('host')).toEqual(['unix:///a', 'tcp://127.0.0.1:1']);
    expect(config.get('iptables')).toBe(false);
    expect(config.get('storage-driver')).toBe('vfs');
    expect(config.get('bridge')).toBe('none');
    expect(config.get('mtu')).toBe(1400);
    expect(config.get('default-shm-size')).toBe(1024 ** 3);
    expect(config.originOf('mtu').layer).toBe('command-line');
    expect(config.originOf('icc').layer).toBe('default');
  });

  it('name options of networks by driver, as the file does', () => {
    const wanted = { 'bridge=com.docker.network.driver.mtu': '1400', 'bridge=a': 'b=c', 'macvlan=parent': 'eth1' };
    const flags = ['bridge=com.docker.network.driver.mtu=1400', 'bridge=a=b=c', 'macvlan=parent=eth1'];
    const argv = flags.flatMap((text) => ['--default-network-opt', text]);
    expect(load('{}', ...argv).get('default-network-opt')).toEqual(wanted);
    const opts = { bridge: { 'com.docker.network.driver.mtu': '1400', a: 'b=c' }, macvlan: { parent: 'eth1' } };
    const config = load(JSON.stringify({ 'default-network-opts': opts }));
    expect(config.get('default-network-opt')).toEqual(wanted);
    expect(networkOptionsOf(config)).toEqual(opts);
    expect(networkOptionsOf(load('{}'))).toEqual({});
  });

  it('do not swallow the next word after a boolean', () => {
    expect(() => load('{}', '--debug', 'false')).toThrow('accepts no arguments');
  });

  it.each([
    [['--nope'], 'unknown flag: --nope'],
    [['-Z'], "unknown shorthand flag: 'Z' in -Z"],
    [['--data-root'], 'flag needs an argument: --data-root'],
    [['--mtu', 'x'], 'invalid argument "x" for "--mtu" flag: strconv.ParseInt: parsing "x": invalid syntax'],
    [['--iptables=maybe'], 'invalid argument "maybe" for "--iptables" flag'],
    [['--log-opt', 'novalue'], 'invalid argument "novalue" for "--log-opt" flag'],
  ])('%j are refused: %s', (argv, message) => {
    expect(() => load('{}', ...argv)).toThrow(message);
  });

  it('say what is not offered instead of dropping it', () => {
    expect(() => load('{}', '--rootless')).toThrow('--rootless is not supported by this version of moored');
    expect(() => load('{"nri-opts":{"enable":"true"}}')).toThrow('--nri-opts is not supported');
    expect(load('{}', '--rootless=false').get('rootless')).toBe(false);
  });

  it('print help and version', () => {
    expect(() => load('{}', '--version')).toThrow(PrintAndExit);
    expect(() => load('{}', '--version')).toThrow('Docker version 1.2.3');
    expect(() => load('{}', '--help')).toThrow('--data-root');
  });
});

describe('daemon.json', () => {
  it('gives values by their keys, nested ones too', () => {
    const config = load(
      JSON.stringify({
        debug: true,
        'insecure-registries': ['r:5000'],
        'log-opts': { 'max-size': '5m' },
        runtimes: { mine: { path: '/x/crun', runtimeArgs: ['--debug'] } },
        'default-ulimits': { nofile: { Name: 'nofile', Soft: 1, Hard: 2 } },
        'default-address-pools': [{ base: '10.1.0.0/16', size: 24 }],
        proxies: { 'http-proxy': 'http://p:1' },
      }),
    );
    expect(config.get('debug')).toBe(true);
    expect(config.get('insecure-registry')).toEqual(['r:5000']);
    expect(config.get('log-opt')).toEqual({ 'max-size': '5m' });
    expect(config.get('add-runtime')).toEqual({ mine: '/x/crun --debug' });
    expect(config.get('default-ulimit')).toEqual({ nofile: '1:2' });
    expect(config.get('default-address-pool')).toEqual(['base=10.1.0.0/16,size=24']);
    expect(config.get('http-proxy')).toBe('http://p:1');
    expect(config.originOf('debug').layer).toBe('file');
  });

  it('must not repeat a flag, whatever the values, but runtimes are merged', () => {
    expect(() => load('{"hosts":["tcp://0.0.0.0:2375"]}', '-H', 'fd://')).toThrow(
      'the following directives are specified both as a flag and in the configuration file: hosts: (from flag: [fd://], from file: [tcp://0.0.0.0:2375])',
    );
    expect(load('{"runtimes":{"a":{"path":"/a"}}}', '--add-runtime', 'b=/b').get('add-runtime')).toEqual({
      a: '/a',
      b: '/b',
    });
  });

  it.each([
    ['{"nope":1,"neither":2}', "the following directives don't match any configuration option: nope, neither"],
    ['{"debug":"yes"}', 'json: cannot unmarshal string into Go struct field Config.debug of type bool'],
    ['{"hosts":"unix:///a"}', 'json: cannot unmarshal string into Go struct field Config.hosts of type []string'],
    ['{"mtu":1.5}', 'json: cannot unmarshal number into Go struct field Config.mtu of type int'],
    ['{', 'unable to configure the Docker daemon with file'],
    ['[]', 'json: cannot unmarshal array into Go value of type map[string]interface {}'],
  ])('%s is refused', (json, message) => {
    expect(() => load(json)).toThrow(message);
  });

  it('may be empty, have a BOM, and zero values fall back to the default', () => {
    expect(load('').get('mtu')).toBe(1500);
    expect(load('\uFEFF{"mtu":0,"icc":false}').get('mtu')).toBe(1500);
    expect(load('\uFEFF{"mtu":0,"icc":false}').get('icc')).toBe(false);
  });

  it('must exist when named', () => {
    expect(() =>
      loadConfig({ argv: ['--config-file', join(directory, 'missing.json')], environment: {}, version: '1' }),
    ).toThrow('no such file or directory');
  });
});

describe('sizes', () => {
  it.each([
    ['64M', 64 * 1024 ** 2],
    ['1g', 1024 ** 3],
    ['512', 512],
    ['1.5k', 1536],
    ['2MiB', 2 * 1024 ** 2],
    ['1P', 1024 ** 5],
    ['8191P', 8191 * 1024 ** 5],
    ['8192P', null],
    ['99999999999999999999g', null],
    ['x', null],
    ['-1m', null],
  ])('%s is %s', (text, bytes) => {
    expect(parseByteSize(text)).toBe(bytes);
  });
});
