import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseJson } from '../../../../src/api/wire/body.ts';
import { CREATE_REQUEST } from '../../../../src/api/wire/container-config.ts';
import { decodeAs, encodeAs } from '../../../../src/api/wire/go-struct.ts';
import { endOfValue } from '../../../../src/api/wire/go-syntax.ts';
import { HOST_CONFIG } from '../../../../src/api/wire/host-config.ts';
import type { JsonValue } from '../../../../src/base/json.ts';

function refusal(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return (error as Error).message;
  }
  return 'accepted';
}

describe('malformed JSON', () => {
  // Each text was recorded from dockerd 20.10; the prefix is dockerd 28's.
  it.each([
    ['{"Image":"busybox"', 'unexpected EOF'],
    ['{"Image":"busybox",}', "invalid character '}' looking for beginning of object key string"],
    ['{]', "invalid character ']' looking for beginning of object key string"],
    ['}', "invalid character '}' looking for beginning of value"],
    ['hello', "invalid character 'h' looking for beginning of value"],
    ['{"a" 1}', "invalid character '1' after object key"],
    ['{"a":1 "b":2}', "invalid character '\"' after object key:value pair"],
    ['[1 2]', "invalid character '2' after array element"],
    ['nulx', "invalid character 'x' in literal null (expecting 'l')"],
    ['"\\x"', "invalid character 'x' in string escape code"],
    ['-x', "invalid character 'x' in numeric literal"],
  ])('%s', (text, message) => {
    expect(refusal(() => parseJson(text))).toBe(`invalid JSON: ${message}`);
  });

  it('does not take two values for one', () => {
    expect(refusal(() => parseJson('{"a":1} trail'))).toBe('unexpected content after JSON');
  });

  it('finds the end of whatever JSON.stringify writes', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom('', ' ', '\n'), (value, space) => {
        const text = JSON.stringify(value);
        expect(endOfValue(`${space}${text}x`)).toBe(space.length + text.length);
      }),
    );
  });
});

describe('wrong types', () => {
  // Recorded from dockerd 20.10.
  it.each<[JsonValue, string]>([
    [{ Tty: 'yes' }, 'string into Go struct field ContainerConfigWrapper.Tty of type bool'],
    [{ Image: 5 }, 'number into Go struct field ContainerConfigWrapper.Image of type string'],
    [{ HostConfig: { Memory: 'a' } }, 'string into Go struct field HostConfig.HostConfig.Memory of type int64'],
    [{ HostConfig: { Memory: 1.5 } }, 'number 1.5 into Go struct field HostConfig.HostConfig.Memory of type int64'],
    [{ HostConfig: { Binds: { a: 1 } } }, 'object into Go struct field HostConfig.HostConfig.Binds of type []string'],
    [{ HostConfig: { Binds: [1] } }, 'number into Go struct field HostConfig.HostConfig.Binds of type string'],
    [
      { HostConfig: { PortBindings: { '80/tcp': [{ HostPort: 80 }] } } },
      'number into Go struct field PortBinding.HostConfig.PortBindings.HostPort of type string',
    ],
    [{ HostConfig: [] }, 'array into Go struct field ContainerConfigWrapper.HostConfig of type container.HostConfig'],
    [{ Cmd: 5 }, 'number into Go struct field ContainerConfigWrapper.Cmd of type string'],
    [{ Cmd: [5] }, 'array into Go struct field ContainerConfigWrapper.Cmd of type string'],
    [{ Labels: { a: 5 } }, 'number into Go struct field ContainerConfigWrapper.Labels of type string'],
    [
      { ExposedPorts: ['80/tcp'] },
      'array into Go struct field ContainerConfigWrapper.ExposedPorts of type nat.PortSet',
    ],
    [[], 'array into Go value of type runconfig.ContainerConfigWrapper'],
    ['x', 'string into Go value of type runconfig.ContainerConfigWrapper'],
  ])('%j', (body, message) => {
    expect(refusal(() => decodeAs(CREATE_REQUEST, body))).toBe(`invalid JSON: json: cannot unmarshal ${message}`);
  });
});

describe('Go’s rules for structs', () => {
  it('matches names in any case, ignores unknown ones, leaves scalars alone on null', () => {
    expect(decodeAs(CREATE_REQUEST, { image: 'a', TTY: true, nosuch: 1, User: null, cmd: 'one' })).toEqual({
      Image: 'a',
      Tty: true,
      Cmd: ['one'],
    });
  });

  it('prints what was not given as zero or null, and leaves out what omitempty says', () => {
    const document = encodeAs(HOST_CONFIG, { Binds: [], Memory: 5 }) as Record<string, JsonValue>;
    expect(document).toMatchObject({ Binds: [], Memory: 5, CapAdd: null, PidsLimit: null, ShmSize: 0 });
    expect(document['RestartPolicy']).toEqual({ Name: '', MaximumRetryCount: 0 });
    for (const name of ['Mounts', 'Tmpfs', 'Sysctls', 'Init', 'Annotations', 'StorageOpt']) {
      expect(document).not.toHaveProperty(name);
    }
  });

  it('prints what a pointer leads to, however empty it is', () => {
    expect(encodeAs(HOST_CONFIG, { Init: false })).toMatchObject({ Init: false });
    expect(encodeAs(HOST_CONFIG, { Init: null })).not.toHaveProperty('Init');
    const mounts = [{ Type: 'volume', VolumeOptions: { NoCopy: true, DriverConfig: {} } }];
    expect(encodeAs(HOST_CONFIG, { Mounts: mounts })).toMatchObject({ Mounts: mounts });
  });

  it('prints int64 beyond 2^53 with digits that an int64 has', () => {
    const given = decodeAs(HOST_CONFIG, parseJson('{"MemorySwap":9223372036854775807}'));
    expect(JSON.stringify(encodeAs(HOST_CONFIG, given))).toContain('"MemorySwap":9223372036854775807,');
  });

  it('gives back what it took, for any document', () => {
    const document = fc.record(
      {
        Binds: fc.option(fc.array(fc.string())),
        Memory: fc.maxSafeInteger(),
        Privileged: fc.boolean(),
        PidsLimit: fc.option(fc.maxSafeInteger()),
        Sysctls: fc.dictionary(fc.string({ minLength: 1 }), fc.string(), { minKeys: 1 }),
        Ulimits: fc.array(fc.record({ Name: fc.string(), Hard: fc.nat(), Soft: fc.nat() })),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(document, (given) => {
        const once = encodeAs(HOST_CONFIG, decodeAs(HOST_CONFIG, given as JsonValue));
        expect(once).toMatchObject(given);
        expect(encodeAs(HOST_CONFIG, decodeAs(HOST_CONFIG, once))).toEqual(once);
      }),
    );
  });
});
