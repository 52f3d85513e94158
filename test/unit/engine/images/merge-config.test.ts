import { describe, expect, it } from 'vitest';
import { applyChanges } from '../../../../src/engine/dockerfile/changes.ts';
import { configDocument } from '../../../../src/engine/images/config-document.ts';
import { mergeConfig } from '../../../../src/engine/images/merge-config.ts';
import type { ImageRunConfig } from '../../../../src/engine/oci/image-spec.ts';

const CONTAINER: ImageRunConfig = {
  Hostname: 'h',
  User: 'u',
  Env: ['PATH=/bin', 'A=1'],
  Cmd: ['sh'],
  Entrypoint: ['init', '--'],
  ExposedPorts: { '80/tcp': {} },
  Volumes: { '/data': {} },
  Labels: { a: '1', b: '2' },
  WorkingDir: '/w',
  StopSignal: 'SIGINT',
  Healthcheck: { Test: ['CMD', 'true'], Interval: 5_000_000_000, Retries: 3 },
};

const { Hostname: _own, ...REST } = CONTAINER;

describe('a commit’s configuration', () => {
  it('is the container’s own without any words', () => {
    expect(mergeConfig(CONTAINER, CONTAINER)).toEqual(CONTAINER);
  });

  it.each<[string, ImageRunConfig, Partial<ImageRunConfig>]>([
    ['fills in what is not given', {}, REST],
    ['keeps what is given', { User: 'me', WorkingDir: '/x' }, { User: 'me', WorkingDir: '/x', StopSignal: 'SIGINT' }],
    ['adds to the environment', { Env: ['A=2', 'B=3'] }, { Env: ['A=2', 'B=3', 'PATH=/bin'] }],
    ['adds labels', { Labels: { b: 'x', c: '3' } }, { Labels: { a: '1', b: 'x', c: '3' } }],
    [
      'adds ports and volumes',
      { ExposedPorts: { '1/udp': {} }, Volumes: { '/v': {} } },
      {
        ExposedPorts: { '80/tcp': {}, '1/udp': {} },
        Volumes: { '/v': {}, '/data': {} },
      },
    ],
    ['keeps the entrypoint for a command', { Cmd: ['x'] }, { Entrypoint: ['init', '--'], Cmd: ['x'] }],
    ['drops the command for an entrypoint', { Entrypoint: ['e'] }, { Entrypoint: ['e'], Cmd: null }],
    ['takes an emptied entrypoint at its word', { Entrypoint: [] }, { Entrypoint: [], Cmd: ['sh'] }],
    [
      'completes a health check',
      { Healthcheck: { Interval: 0, Retries: 1 } },
      {
        Healthcheck: { Test: ['CMD', 'true'], Interval: 5_000_000_000, Retries: 1 },
      },
    ],
  ])('%s', (_what, own, wanted) => {
    expect(mergeConfig(own, CONTAINER)).toMatchObject(wanted);
  });

  it.each<[readonly string[], Partial<ImageRunConfig>]>([
    [['CMD ["x"]'], { Entrypoint: ['init', '--'], Cmd: ['x'] }],
    [['ENTRYPOINT ["e"]'], { Entrypoint: ['e'], Cmd: null }],
    [['CMD ["x"]', 'ENTRYPOINT ["e"]'], { Entrypoint: ['e'], Cmd: ['x'] }],
    [['ENTRYPOINT ["e"]', 'CMD ["x"]'], { Entrypoint: ['e'], Cmd: ['x'] }],
    // dockerd's own rule: an entrypoint that was taken away comes back from the container.
    [['ENTRYPOINT []'], { Entrypoint: ['init', '--'], Cmd: ['sh'] }],
    [['ENV A=9', 'LABEL b=9'], { Env: ['PATH=/bin', 'A=9'], Labels: { a: '1', b: '9' } }],
  ])('takes the lines %j', (lines, wanted) => {
    expect(mergeConfig(applyChanges(lines, CONTAINER), CONTAINER)).toMatchObject(wanted);
  });

  it('takes the image’s shell for a command that is no list', () => {
    expect(applyChanges(['CMD x y'], { Shell: ['/bin/bash', '-ec'] }).Cmd).toEqual(['/bin/bash', '-ec', 'x y']);
  });

  it('is written as Go writes it', () => {
    expect(
      JSON.stringify(configDocument({ StopSignal: '', Cmd: ['x'], User: 'u', Volumes: {}, ExposedPorts: {} })),
    ).toBe(
      '{"Hostname":"","Domainname":"","User":"u","AttachStdin":false,"AttachStdout":false,"AttachStderr":false,' +
        '"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":null,"Cmd":["x"],"Image":"","Volumes":null,' +
        '"WorkingDir":"","Entrypoint":null,"OnBuild":null,"Labels":null}',
    );
    const full = JSON.stringify(configDocument(CONTAINER));
    expect(full.indexOf('"ExposedPorts"')).toBeLessThan(full.indexOf('"Tty"'));
    expect(full).toContain('"StopSignal":"SIGINT"');
  });
});
