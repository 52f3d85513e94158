import { describe, expect, it } from 'vitest';
import { InvalidArgumentError } from '../../../../src/base/errors.ts';
import { parseConfig } from '../../../../src/engine/registry/image-config.ts';

const ROOTFS = { type: 'layers', diff_ids: [] };
const parse = (value: object): unknown => parseConfig(Buffer.from(JSON.stringify({ rootfs: ROOTFS, ...value })));

describe('parseConfig', () => {
  it('takes null where Go does, a plain string for a command, and an empty system for linux', () => {
    expect(
      parse({
        os: '',
        created: null,
        author: null,
        config: { User: null, Cmd: 'sh -c x', ExposedPorts: { '80/tcp': null } },
      }),
    ).toMatchObject({ os: 'linux', config: { Cmd: ['sh -c x'], ExposedPorts: { '80/tcp': {} } } });
    expect(parse({ config: null, history: null })).toMatchObject({ os: 'linux', architecture: '', config: null });
  });

  it.each([
    ['a number for a name', { config: { User: 5 } }, 'config.User'],
    ['an environment that is no list', { config: { Env: 'a=b' } }, 'config.Env'],
    ['an environment of numbers', { config: { Env: [1] } }, 'config.Env.0'],
    ['a command of objects', { config: { Cmd: [{}] } }, 'config.Cmd'],
    ['labels that are no words', { config: { Labels: { a: 1 } } }, 'config.Labels.a'],
    ['volumes as a list', { config: { Volumes: ['/x'] } }, 'config.Volumes'],
    ['a health check as a word', { config: { Healthcheck: 'x' } }, 'config.Healthcheck'],
    ['a fraction of a nanosecond', { config: { Healthcheck: { Interval: 1.5 } } }, 'config.Healthcheck.Interval'],
    ['a time that is none', { created: 'yesterday' }, 'created'],
    ['a history of words', { history: ['x'] }, 'history.0'],
    ['a history at no time', { history: [{ created: 'x' }] }, 'history.0.created'],
    ['a system that is no word', { os: 7 }, 'os'],
    ['diff ids that are none', { rootfs: { type: 'layers', diff_ids: ['../x'] } }, 'rootfs.diff_ids.0'],
    ['no layers', { rootfs: null }, 'rootfs: invalid rootfs in image configuration'],
  ])('refuses %s', (_what, value, where) => {
    expect(() => parse(value)).toThrow(InvalidArgumentError);
    expect(() => parse(value)).toThrow(`invalid image configuration: ${where}`);
  });

  it('refuses what is nested too deeply to be written down again', () => {
    const deep = `{"rootfs":{"type":"layers"},"x":${'['.repeat(50_000)}${']'.repeat(50_000)}}`;
    expect(() => parseConfig(Buffer.from(deep))).toThrow('invalid image configuration: exceeded max depth');
  });
});
