import { describe, expect, it } from 'vitest';
import {
  readDocument,
  storedDocument,
  type StoredDocument,
} from '../../../../src/engine/containers/stored-document.ts';
import type { ContainerSpec, FrontDocument } from '../../../../src/engine/containers/spec-types.ts';

const numbers = (first: number, count: number): readonly number[] =>
  Array.from({ length: count }, (_, index) => first + index);
const tcp = (port: number) => ({ port, protocol: 'tcp' }) as const;

interface Asked {
  readonly spec: ContainerSpec;
  readonly frontDocument: FrontDocument | null;
}

function asked(ports: readonly number[], shift = 0): Asked {
  const spec = {
    image: 'x',
    exposedPorts: ports.map(tcp),
    host: {
      portBindings: ports.map((port) => ({
        container: tcp(port),
        hostIp: '',
        hostPortStart: port + shift,
        hostPortEnd: port + shift,
      })),
    },
  } as unknown as ContainerSpec;
  const frontDocument = {
    Config: {
      Image: 'x',
      ExposedPorts: Object.fromEntries(ports.map((port) => [`${String(port)}/tcp`, {}])),
      Tty: null,
    },
    HostConfig: {
      Memory: 0,
      PortBindings: Object.fromEntries(
        ports.map((port) => [`${String(port)}/tcp`, [{ HostIp: '', HostPort: String(port + shift) }]]),
      ),
      Binds: [],
    },
    NetworkingConfig: null,
  };
  return { spec, frontDocument };
}

function throughText(document: Asked): { readonly read: Asked; readonly length: number } {
  const text = JSON.stringify(storedDocument(document));
  return { read: readDocument(JSON.parse(text) as StoredDocument<Asked>), length: text.length };
}

describe('a stored document', () => {
  it.each([0, 7])('has thousands of ports in few words, and gives them back word for word (shifted by %i)', (shift) => {
    const document = asked(numbers(10_000, 5000), shift);
    const { read, length } = throughText(document);
    expect(length).toBeLessThan(1000);
    expect(JSON.stringify(read)).toBe(JSON.stringify(document));
  });

  it('has few ports, and none, as they are', () => {
    for (const count of [0, 1, 63]) {
      const document = asked(numbers(80, count));
      expect(storedDocument(document)).toBe(document);
    }
  });

  it.each([
    [
      'two host ports for one',
      [
        { HostIp: '', HostPort: '1' },
        { HostIp: '', HostPort: '2' },
      ],
    ],
    ['none', []],
    ['null', null],
    ['a range', [{ HostIp: '', HostPort: '80-90' }]],
    ['no number', [{ HostIp: '', HostPort: '' }]],
    ['another spelling', [{ HostIp: '', HostPort: '080' }]],
    ['another order', [{ HostPort: '80', HostIp: '' }]],
    ['one word only', [{ HostPort: '80' }]],
    ['a word more', [{ HostIp: '', HostPort: '80', More: 1 }]],
  ])('echoes what a client said otherwise: %s', (_text, value) => {
    const document = asked(numbers(10_000, 100));
    const host = document.frontDocument?.['HostConfig'] as FrontDocument;
    const bindings = { ...(host['PortBindings'] as FrontDocument), '10050/tcp': value };
    const other = {
      ...document,
      frontDocument: { ...document.frontDocument, HostConfig: { ...host, PortBindings: bindings } },
    };
    expect(JSON.stringify(throughText(other).read)).toBe(JSON.stringify(other));
  });

  it.each(['80', '0080/tcp', '80/TCP', 'x/tcp', '80/tcp/udp', '/tcp'])('echoes the key %s', (key) => {
    const document = asked(numbers(10_000, 100));
    const config = document.frontDocument?.['Config'] as FrontDocument;
    const exposed = { ...(config['ExposedPorts'] as FrontDocument), [key]: {} };
    const other = {
      ...document,
      frontDocument: { ...document.frontDocument, Config: { ...config, ExposedPorts: exposed } },
    };
    expect(JSON.stringify(throughText(other).read)).toBe(JSON.stringify(other));
  });

  it('is read as it is where an older version wrote it, or another front', () => {
    const document = asked(numbers(10_000, 100));
    expect(readDocument(JSON.parse(JSON.stringify(document)) as StoredDocument<Asked>)).toEqual(document);
    const bare = { ...document, frontDocument: null };
    expect(throughText(bare).read).toEqual(bare);
  });
});
