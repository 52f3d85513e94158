import { describe, expect, it } from 'vitest';
import { withImageDefaults } from '../../../../../src/engine/containers/create/image-defaults.ts';
import type { ContainerSpec } from '../../../../../src/engine/containers/spec-types.ts';
import { exampleSpec } from '../../../../support/container-spec.ts';

const IMAGE = { Entrypoint: ['entry'], Cmd: ['cmd', 'arg'] };
const argv = (own: Partial<ContainerSpec>, image = IMAGE): readonly string[] =>
  withImageDefaults(exampleSpec({ command: null, ...own }), image).argv;

describe('the command', () => {
  it.each([
    ['the image’s', {}, ['entry', 'cmd', 'arg']],
    ['the user’s arguments', { command: ['own'] }, ['entry', 'own']],
    ['an empty list counts for none', { command: [] }, ['entry', 'cmd', 'arg']],
    ['the user’s entrypoint puts the image’s command aside', { entrypoint: ['mine'] }, ['mine']],
    ['the user’s entrypoint and arguments', { entrypoint: ['mine'], command: ['own'] }, ['mine', 'own']],
    ['a cleared entrypoint', { entrypoint: [], command: ['own'] }, ['own']],
    ['an entrypoint cleared by ""', { entrypoint: [''], command: ['own'] }, ['own']],
  ] as const)('%s', (_title, own, expected) => {
    expect(argv(own)).toEqual(expected);
  });

  it('must be there', () => {
    expect(() => argv({ entrypoint: [] })).toThrow('no command specified');
    expect(() => withImageDefaults(exampleSpec({ command: null }), {})).toThrow('no command specified');
  });
});

describe('the image’s defaults', () => {
  const merge = (own: Partial<ContainerSpec>, image: Parameters<typeof withImageDefaults>[1]): ContainerSpec =>
    withImageDefaults(exampleSpec(own), image).spec;

  it('give way to what the user says', () => {
    const image = { User: 'web', WorkingDir: '/srv', StopSignal: 'SIGINT', Labels: { a: '1', b: '1' } };
    expect(merge({}, image)).toMatchObject({
      user: 'web',
      workingDirectory: '/srv',
      stopSignal: 'SIGINT',
      labels: { a: '1', b: '1' },
    });
    expect(merge({ user: '0', workingDirectory: '/', stopSignal: 'SIGHUP', labels: { b: '2' } }, image)).toMatchObject({
      user: '0',
      workingDirectory: '/',
      stopSignal: 'SIGHUP',
      labels: { a: '1', b: '2' },
    });
    expect(merge({}, { StopSignal: '' }).stopSignal).toBeNull();
  });

  it('of the environment come after the user’s, but for names that he gave', () => {
    const env = merge({ env: ['A=own', 'B'] }, { Env: ['A=image', 'B=image', 'PATH=/bin', 'AB=image'] }).env;
    expect(env).toEqual(['A=own', 'B', 'PATH=/bin', 'AB=image']);
  });

  it('add ports, single and in ranges, each once; what is no port is left out', () => {
    const ports = merge(
      { exposedPorts: [{ port: 80, protocol: 'tcp' }] },
      { ExposedPorts: { '80/tcp': {}, '53/UDP': {}, '90': {}, '100-102': {}, '9-1': {}, '70000': {}, web: {} } },
    ).exposedPorts;
    expect(ports.map(({ port, protocol }) => `${String(port)}/${protocol}`)).toEqual(
      expect.arrayContaining(['80/tcp', '53/udp', '90/tcp', '100/tcp', '101/tcp', '102/tcp']),
    );
    expect(ports).toHaveLength(6);
  });

  it('add volumes, each once', () => {
    expect(merge({ volumes: ['/a'] }, { Volumes: { '/a': {}, '/b': {} } }).volumes).toEqual(['/a', '/b']);
    expect(merge({}, { Volumes: null, Env: null, ExposedPorts: null, Labels: null }).volumes).toEqual([]);
  });

  it('of a health check fill what the user left at zero', () => {
    const image = { Healthcheck: { Test: ['CMD', 'check'], Interval: 5, Retries: 3 } };
    expect(merge({}, image).healthcheck).toEqual(image.Healthcheck);
    expect(merge({ healthcheck: { Interval: 9, Retries: 0 } }, image).healthcheck).toEqual({
      Test: ['CMD', 'check'],
      Interval: 9,
      Retries: 3,
    });
    expect(merge({ healthcheck: { Test: ['NONE'] } }, image).healthcheck?.Test).toEqual(['NONE']);
  });
});
