/** Documents of images, version by version. */
import { describe, expect, it } from 'vitest';
import { ApiVersion } from '../../../../src/api/compat/version.ts';
import { imageDocument, imageRow } from '../../../../src/api/wire/image.ts';
import { parseTimestamp } from '../../../../src/base/clock.ts';
import type { JsonObject } from '../../../../src/base/json.ts';
import type { ImageView } from '../../../../src/engine/index.ts';

const ID = `sha256:${'1'.repeat(64)}` as ImageView['id'];
const PARENT = `sha256:${'2'.repeat(64)}` as ImageView['id'];
const IMAGE: ImageView = {
  id: ID,
  tags: ['app:1'],
  digests: [],
  config: {
    architecture: 'arm',
    variant: 'v6',
    os: 'linux',
    created: '2026-01-02T03:04:05.678900000Z',
    author: 'me',
    container: 'abc',
    container_config: { Hostname: 'h', Cmd: ['/bin/sh'] },
    config: {
      Hostname: 'kept from nobody',
      Env: ['PATH=/bin'],
      Cmd: [],
      Labels: { 'org.opensuse.base.vendor': 'SUSE LLC' },
      Volumes: { '/data': {} },
      StopSignal: 'SIGINT',
      StopTimeout: 5,
    },
    rootfs: { type: 'layers', diff_ids: [] },
    history: [{ comment: 'first' }, { comment: 'last' }],
  },
  sizeBytes: 123,
  chainId: null,
  layerChainIds: [],
  layerSizes: [],
  lastTaggedAt: parseTimestamp('2026-02-01T00:00:00.5Z'),
  parent: PARENT,
};
const NAMELESS: ImageView = { ...IMAGE, tags: [], digests: [], lastTaggedAt: null, parent: null };

function row(version: string, image: ImageView = IMAGE): JsonObject {
  return imageRow(image, { version: new ApiVersion(version), containers: 2, sharedBytes: 7 }) as JsonObject;
}

describe('a row of the list', () => {
  it('is what dockerd 28 sends', () => {
    expect(row('1.51')).toEqual({
      Containers: 2,
      Created: 1767323045,
      Id: ID,
      Labels: { 'org.opensuse.base.vendor': 'SUSE LLC' },
      ParentId: PARENT,
      RepoDigests: [],
      RepoTags: ['app:1'],
      SharedSize: 7,
      Size: 123,
    });
  });

  it.each([
    [
      '1.42',
      { RepoTags: ['app:1'], RepoDigests: null },
      { RepoTags: ['<none>:<none>'], RepoDigests: ['<none>@<none>'] },
    ],
    ['1.43', { RepoTags: ['app:1'], RepoDigests: [] }, { RepoTags: [], RepoDigests: [] }],
  ])('has the names of version %s', (version, named, nameless) => {
    expect(row(version)).toMatchObject(named);
    expect(row(version, NAMELESS)).toMatchObject(nameless);
  });

  it('has a virtual size until 1.44', () => {
    expect(row('1.43')['VirtualSize']).toBe(123);
    expect(row('1.44')).not.toHaveProperty('VirtualSize');
  });

  it('says 0 of an image that does not say when it was made', () => {
    const { created: _created, ...config } = IMAGE.config;
    expect(row('1.51', { ...IMAGE, config })['Created']).toBe(0);
  });
});

describe('the document of an image', () => {
  const document = (version: string, image: ImageView = IMAGE, needsBuilderFields = false): JsonObject =>
    imageDocument(image, {
      version: new ApiVersion(version),
      storageDriver: 'overlay2',
      storage: { UpperDir: '/u' },
      needsBuilderFields,
    }) as JsonObject;

  it('is what dockerd 28 sends', () => {
    const { GraphDriver: _driver, ...shown } = document('1.51');
    expect(shown).toEqual({
      Id: ID,
      RepoTags: ['app:1'],
      RepoDigests: [],
      Parent: PARENT,
      Comment: 'last',
      Created: '2026-01-02T03:04:05.6789Z',
      DockerVersion: '',
      Author: 'me',
      Config: {
        Cmd: null,
        Entrypoint: null,
        Env: ['PATH=/bin'],
        Labels: { 'org.opensuse.base.vendor': 'SUSE LLC' },
        OnBuild: null,
        StopSignal: 'SIGINT',
        User: '',
        Volumes: { '/data': {} },
        WorkingDir: '',
      },
      Architecture: 'arm',
      Variant: 'v6',
      Os: 'linux',
      Size: 123,
      RootFS: { Type: 'layers' },
      Metadata: { LastTagTime: '2026-02-01T00:00:00.5Z' },
    });
  });

  it('sorts the fields of its config, as Go does', () => {
    const names = Object.keys(document('1.49')['Config'] as JsonObject);
    expect(names).toEqual(names.toSorted());
  });

  it('shows the fields of containers until 1.50, with nothing in them', () => {
    expect(document('1.49')['Config']).toMatchObject({ Hostname: '', Image: '', Tty: false, AttachStdin: false });
    expect(document('1.50')['Config']).not.toHaveProperty('Hostname');
  });

  it('shows the container it was made of until 1.45', () => {
    expect(document('1.44')).toMatchObject({
      Container: 'abc',
      ContainerConfig: { Hostname: 'h', Cmd: ['/bin/sh'], Env: null },
    });
    expect(document('1.45')).not.toHaveProperty('Container');
    expect(document('1.45')).not.toHaveProperty('ContainerConfig');
    expect(document('1.51', IMAGE, true)).toMatchObject({ ContainerConfig: { Hostname: 'h' } });
    const { container: _container, container_config: _config, ...config } = IMAGE.config;
    expect(document('1.44', { ...IMAGE, config })).not.toHaveProperty('Container');
    expect(document('1.44', { ...IMAGE, config })).toMatchObject({ ContainerConfig: { Hostname: '', Cmd: null } });
  });

  it('tells of no time with Go’s zero, and from 1.44 on not at all', () => {
    const { created: _created, ...config } = NAMELESS.config;
    const image = { ...NAMELESS, config };
    expect(document('1.43', image)['Created']).toBe('0001-01-01T00:00:00Z');
    expect(document('1.44', image)).not.toHaveProperty('Created');
    expect(document('1.44', image)['Metadata']).toEqual({ LastTagTime: '0001-01-01T00:00:00Z' });
    expect(document('1.44', image)['Parent']).toBe('');
  });
});
