import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { KernelError } from '../../../../src/engine/kernel/kernel.ts';
import { Forwarding } from '../../../../src/engine/network/forwarding.ts';
import { FakeNetns } from '../../../support/fake-kernel-links.ts';
import { RecordingLogger } from '../../../support/recording-logger.ts';

const directories: string[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

function forwardingOn(values: Record<string, string>, allowed = true) {
  const netns = new FakeNetns();
  for (const name of ['eth0', 'eth1', 'br-0.5']) netns.addLink({ name });
  const directory = mkdtempSync(join(tmpdir(), 'forwarding-'));
  directories.push(directory);
  const logger = new RecordingLogger();
  const forwarding = new Forwarding({
    sysctls: {
      read: (key) => values[key] ?? null,
      write: (key, value) => {
        if (!(key in values)) throw new KernelError('sysctl', 'ENOENT', key);
        values[key] = value;
      },
    },
    route: () => netns,
    logger,
    allowed,
    noteDirectory: join(directory, 'netns'),
  });
  return { forwarding, logger, directory };
}

it('is switched on once, and it is known who did it', () => {
  const values = { 'net/ipv4/ip_forward': '0' };
  const { forwarding, directory } = forwardingOn(values);
  expect(forwarding.ownDoing()).toEqual([]);
  for (const _ of [1, 2]) forwarding.allow('ipv4');
  expect(values).toEqual({ 'net/ipv4/ip_forward': '1' });
  expect(forwarding.ownDoing()).toEqual(['ipv4']);
  expect(existsSync(join(directory, 'netns', 'forwarding-ipv4'))).toBe(true);
});

it('is nobody’s doing of ours where the host was a router before', () => {
  const { forwarding } = forwardingOn({ 'net/ipv4/ip_forward': '1' });
  forwarding.allow('ipv4');
  expect(forwarding.ownDoing()).toEqual([]);
});

it('of IPv6 leaves interfaces their router advertisements that took them so far', () => {
  const values = {
    'net/ipv6/conf/all/forwarding': '0',
    'net/ipv6/conf/default/accept_ra': '1',
    'net/ipv6/conf/default/forwarding': '0',
    'net/ipv6/conf/eth0/accept_ra': '1',
    'net/ipv6/conf/eth0/forwarding': '0',
    'net/ipv6/conf/eth1/accept_ra': '1',
    'net/ipv6/conf/eth1/forwarding': '1',
    'net/ipv6/conf/br-0.5/accept_ra': '0',
    'net/ipv6/conf/br-0.5/forwarding': '0',
  };
  forwardingOn(values).forwarding.allow('ipv6');
  expect(values).toMatchObject({
    'net/ipv6/conf/all/forwarding': '1',
    'net/ipv6/conf/default/accept_ra': '2',
    'net/ipv6/conf/eth0/accept_ra': '2',
    'net/ipv6/conf/eth1/accept_ra': '1',
    'net/ipv6/conf/br-0.5/accept_ra': '0',
  });
});

it('is left alone under --ip-forward=false, with one warning', () => {
  const values = { 'net/ipv4/ip_forward': '0', 'net/ipv6/conf/all/forwarding': '0' };
  const { forwarding, logger } = forwardingOn(values, false);
  for (const _ of [1, 2]) forwarding.allow('ipv4');
  forwarding.allow('ipv6');
  expect(values).toEqual({ 'net/ipv4/ip_forward': '0', 'net/ipv6/conf/all/forwarding': '0' });
  expect(logger.messages('warn')).toEqual([
    'IPv4 forwarding is disabled: containers cannot reach other hosts, nor be reached from them',
    'IPv6 forwarding is disabled: containers cannot reach other hosts, nor be reached from them',
  ]);
});

it('is not asked for where the kernel has no IPv6', () => {
  const { forwarding, logger } = forwardingOn({});
  forwarding.allow('ipv6');
  expect(logger.messages('warn')).toEqual([]);
});
