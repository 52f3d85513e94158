/** Where the API listens: `-H`, and what systemd passed on. */
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isSamePath, parseHosts, planListening } from '../../../src/service/hosts.ts';

describe('-H', () => {
  it.each([
    ['unix:///run/x.sock', { kind: 'unix', path: '/run/x.sock' }],
    ['unix://', { kind: 'unix', path: '/var/run/docker.sock' }],
    ['tcp://127.0.0.1:2376', { kind: 'tcp', host: '127.0.0.1', port: 2376 }],
    ['tcp://[::1]:99', { kind: 'tcp', host: '::1', port: 99 }],
    ['tcp://:99', { kind: 'tcp', host: 'localhost', port: 99 }],
    ['tcp://', { kind: 'tcp', host: 'localhost', port: 2375 }],
    ['0.0.0.0:99', { kind: 'tcp', host: '0.0.0.0', port: 99 }],
    ['fd://', { kind: 'fd', which: '' }],
    ['fd://*', { kind: 'fd', which: '' }],
    ['fd://3', { kind: 'fd', which: '3' }],
    ['fd://docker', { kind: 'fd', which: 'docker' }],
  ])('%s', (text, address) => {
    expect(parseHosts([text], { tls: false })).toEqual([address]);
  });

  it('has the other port with TLS', () => {
    expect(parseHosts(['tcp://'], { tls: true })).toEqual([{ kind: 'tcp', host: 'localhost', port: 2376 }]);
  });

  it('refuses other schemes and ports', () => {
    expect(() => parseHosts(['http://x'], { tls: false })).toThrow('unable to parse docker host `http://x`');
    expect(() => parseHosts(['tcp://x:99999'], { tls: false })).toThrow('invalid bind address');
  });
});

describe('the plan', () => {
  const docker = { fd: 3, name: 'docker' };
  const admin = { fd: 4, name: 'admin' };
  const plan = (hosts: readonly string[], ...sockets: (typeof docker)[]) =>
    planListening(parseHosts(hosts, { tls: false }), sockets);

  it('falls back to Docker’s socket only where there is nothing else', () => {
    const fallback = [{ kind: 'unix', path: '/var/run/docker.sock' }];
    expect(plan([])).toEqual({ inherited: [], unwanted: [], addresses: fallback });
    expect(plan([], docker)).toEqual({ inherited: [docker], unwanted: [], addresses: [] });
  });

  it('takes inherited sockets besides what is configured', () => {
    const { inherited, addresses } = plan(['tcp://127.0.0.1:1'], docker, admin);
    expect(inherited).toEqual([docker, admin]);
    expect(addresses).toEqual([{ kind: 'tcp', host: '127.0.0.1', port: 1 }]);
    expect(plan(['fd://'], docker).addresses).toEqual([]);
  });

  it.each([
    ['fd://4', [admin], [docker]],
    ['fd://docker', [docker], [admin]],
    ['fd://', [docker, admin], []],
  ])('%s picks', (host, inherited, unwanted) => {
    expect(plan([host], docker, admin)).toEqual({ inherited, unwanted, addresses: [] });
  });

  it('says what to do when there is nothing to pick from', () => {
    expect(() => plan(['fd://'])).toThrow(
      /^no sockets found via socket activation: make sure the service was started by systemd.*systemctl start docker\.socket/,
    );
    expect(() => plan(['fd://7'], docker)).toThrow('too few socket activated files passed in by systemd');
    expect(() => plan(['fd://web'], docker)).toThrow(
      'failed to parse systemd fd address: should be a number: web (or the name of a socket; there are: docker)',
    );
  });
});

it('two paths of one socket are one', () => {
  const directory = mkdtempSync(join(tmpdir(), 'moored-hosts-'));
  symlinkSync('.', join(directory, 'var'));
  expect(isSamePath(join(directory, 'var/d.sock'), join(directory, 'd.sock'))).toBe(true);
  expect(isSamePath(join(directory, 'e.sock'), join(directory, 'd.sock'))).toBe(false);
  expect(isSamePath('/nowhere/at/all', '/nowhere/at/all')).toBe(true);
  rmSync(directory, { recursive: true });
});
