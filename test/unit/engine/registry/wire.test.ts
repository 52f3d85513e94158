import { describe, expect, it } from 'vitest';
import { parseConfig, parseIndex, parseManifest, parseToken } from '../../../../src/engine/registry/wire.ts';
import { indexOf, syntheticImage } from '../../../support/synthetic-image.ts';

const bytes = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

describe('documents from outside', () => {
  it('reads manifests and indexes of both families', async () => {
    for (const oci of [false, true]) {
      const image = await syntheticImage([{ a: '1' }, { b: '2' }], { oci });
      expect(parseManifest(image.manifest).layers.map(({ digest }) => digest)).toEqual(
        image.layers.map(({ digest }) => digest),
      );
      const index = indexOf([{ image, platform: { os: 'linux', architecture: 'arm', variant: 'v7' } }], oci);
      expect(parseIndex(index.bytes).manifests[0]).toMatchObject({
        digest: image.digest,
        platform: { os: 'linux', architecture: 'arm', variant: 'v7' },
      });
    }
  });

  it.each([
    ['junk', "invalid character 'j' looking for beginning of value"],
    ['{}', 'invalid manifest: schemaVersion'],
    [
      '{"schemaVersion":2,"config":{"digest":"sha256:x","size":1}}',
      'invalid manifest: config.digest: invalid digest format',
    ],
    [`{"schemaVersion":2,"config":{"digest":"sha256:${'0'.repeat(64)}","size":-1}}`, 'invalid manifest: config.size'],
    ['{"schemaVersion":1}', 'invalid manifest: schemaVersion'],
  ])('refuses the manifest %s', (text, message) => {
    expect(() => parseManifest(Buffer.from(text))).toThrow(message);
  });

  it('keeps what it does not know of a config, and refuses one without layers', () => {
    const config = {
      architecture: 'amd64',
      os: 'linux',
      config: { Cmd: ['x'], New: 1 },
      rootfs: { type: 'layers', diff_ids: null },
    };
    expect(parseConfig(bytes(config))).toMatchObject({ config: { New: 1 }, rootfs: { diff_ids: [] } });
    expect(() => parseConfig(bytes({ os: 'linux' }))).toThrow('invalid image configuration: rootfs');
    expect(() => parseConfig(bytes({ rootfs: { type: 'layers', diff_ids: ['../x'] } }))).toThrow('rootfs.diff_ids.0');
  });

  it('takes either name of a token and at least a minute of life', () => {
    expect(parseToken('{"token":"a"}')).toEqual({ token: 'a', refreshToken: '', expiresInSeconds: 60 });
    expect(parseToken('{"token":"a","access_token":"b","expires_in":5,"refresh_token":"r"}')).toEqual({
      token: 'b',
      refreshToken: 'r',
      expiresInSeconds: 60,
    });
    expect(() => parseToken('junk')).toThrow(
      "unable to decode token response: invalid character 'j' looking for beginning of value",
    );
  });
});
