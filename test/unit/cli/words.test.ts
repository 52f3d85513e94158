import { describe, expect, test } from 'vitest';
import { hostOf, parseHost } from '../../../src/cli/endpoint.ts';
import { createBody } from '../../../src/cli/run-request.ts';
import { age, size } from '../../../src/cli/table.ts';

describe('the endpoint', () => {
  test('-H wins over MOORED_HOST, that over DOCKER_HOST', () => {
    const env = { MOORED_HOST: 'unix:///m', DOCKER_HOST: 'unix:///d' };
    expect(hostOf('unix:///h', env)).toBe('unix:///h');
    expect(hostOf(undefined, env)).toBe('unix:///m');
    expect(hostOf(undefined, { DOCKER_HOST: 'unix:///d' })).toBe('unix:///d');
    expect(hostOf(undefined, {})).toBe('unix:///var/run/docker.sock');
  });

  test('reads unix and tcp, refuses the rest', () => {
    expect(parseHost('unix:///run/d.sock')).toEqual({ socketPath: '/run/d.sock' });
    expect(parseHost('tcp://127.0.0.1:1234')).toEqual({ host: '127.0.0.1', port: 1234 });
    expect(parseHost('tcp://[::1]')).toEqual({ host: '::1', port: 2375 });
    expect(() => parseHost('ssh://host')).toThrow('unable to parse docker host `ssh://host`');
  });
});

describe('the request of run', () => {
  const none = { env: [], envFile: [], volume: [], publish: [] };

  test.each([
    ['80', { '80/tcp': [{ HostIp: '', HostPort: '' }] }],
    ['8080:80', { '80/tcp': [{ HostIp: '', HostPort: '8080' }] }],
    ['127.0.0.1:8080:80/udp', { '80/udp': [{ HostIp: '127.0.0.1', HostPort: '8080' }] }],
    ['127.0.0.1::80', { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '' }] }],
    ['[::1]:8080:80', { '80/tcp': [{ HostIp: '::1', HostPort: '8080' }] }],
  ])('publishes %s', (text, bindings) => {
    const body = createBody('i', [], { ...none, publish: [text] });
    expect(body['HostConfig']).toMatchObject({ PortBindings: bindings });
    expect(body['ExposedPorts']).toEqual({ [Object.keys(bindings)[0] ?? '']: {} });
  });

  test.each(['', 'http', '80/icmp', '1:2:3:4', '99999'])('refuses to publish "%s"', (text) => {
    expect(() => createBody('i', [], { ...none, publish: [text] })).toThrow('invalid publish');
  });

  test('takes the value of a bare name from the caller, and leaves out what the caller has not', () => {
    process.env['MOOR_TEST_SET'] = 'x';
    const { Env } = createBody('i', [], { ...none, env: ['A=1', 'MOOR_TEST_SET', 'MOOR_TEST_UNSET'] });
    delete process.env['MOOR_TEST_SET'];
    expect(Env).toEqual(['A=1', 'MOOR_TEST_SET=x']);
  });

  test('makes a relative folder absolute, and leaves a volume its name', () => {
    const { HostConfig } = createBody('i', [], { ...none, volume: ['./d:/d:ro', 'data:/v', '/anonymous'] });
    expect(HostConfig).toMatchObject({ Binds: [`${process.cwd()}/d:/d:ro`, 'data:/v', '/anonymous'] });
  });

  test('stdin is open once for who attaches, and stays open for who comes later', () => {
    expect(createBody('i', [], { ...none, interactive: true })).toMatchObject({ StdinOnce: true, AttachStdin: true });
    expect(createBody('i', [], { ...none, interactive: true, detach: true })).toMatchObject({
      OpenStdin: true,
      StdinOnce: false,
      AttachStdin: false,
    });
  });
});

test('ages and sizes read as docker writes them', () => {
  expect([0, 5, 60, 150, 3700, 90_000, 200_000, 2_000_000].map(age)).toEqual([
    'Less than a second ago',
    '5 seconds ago',
    'About a minute ago',
    '2 minutes ago',
    'About an hour ago',
    '25 hours ago',
    '2 days ago',
    '3 weeks ago',
  ]);
  expect([0, 999, 1_030_000, 4_261_574].map(size)).toEqual(['0B', '999B', '1.03MB', '4.26MB']);
});
