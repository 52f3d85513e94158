import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readHostCredentials } from '../../../../../src/engine/containers/secrets/host-credentials.ts';
import type { SecretNode } from '../../../../../src/engine/containers/secrets/tree.ts';

describe('SUSE credentials of the host', () => {
  let root = '';
  let zypp = '';
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'moored-credentials-'));
    zypp = join(root, 'etc/zypp/credentials.d');
    mkdirSync(zypp, { recursive: true });
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  const read = async () => {
    const warnings: string[] = [];
    const found = await readHostCredentials(root, (text) => warnings.push(text));
    return { found: Object.fromEntries(found.map(({ destination, node }) => [destination, told(node)])), warnings };
  };

  it('are all files, links to files followed, links to directories not', async () => {
    writeFileSync(join(zypp, 'SCCcredentials'), 'username=a\n');
    chmodSync(join(zypp, 'SCCcredentials'), 0o600);
    mkdirSync(join(zypp, 'more'));
    writeFileSync(join(zypp, 'more/NCC'), 'username=b\n');
    writeFileSync(join(root, 'elsewhere'), 'username=c\n');
    symlinkSync(join(root, 'elsewhere'), join(zypp, 'linked'));
    symlinkSync(join(root, 'etc'), join(zypp, 'outside'));
    writeFileSync(join(root, 'etc/SUSEConnect'), 'url: https://rmt.example\n');
    const { found, warnings } = await read();
    expect(found).toMatchObject({
      '/run/secrets/credentials.d': {
        SCCcredentials: '600 username=a\n',
        linked: expect.stringContaining('username=c') as string,
        more: { NCC: expect.stringContaining('username=b') as string },
      },
      '/run/secrets/SUSEConnect': expect.stringContaining('rmt.example') as string,
    });
    expect(Object.keys(found['/run/secrets/credentials.d'] as object)).not.toContain('outside');
    expect(warnings).toEqual([]);
  });

  it('that are missing are passed over in silence', async () => {
    rmSync(join(root, 'etc'), { recursive: true });
    expect(await read()).toEqual({ found: {}, warnings: [] });
  });

  it('that a link has lost are warned of', async () => {
    symlinkSync(join(root, 'gone'), join(zypp, 'lost'));
    const { found, warnings } = await read();
    expect(found).toEqual({ '/run/secrets/credentials.d': {} });
    expect(warnings).toEqual([`${join(zypp, 'lost')} is a link that leads nowhere`]);
  });

  it('that are too many or too large are left out, and said so', async () => {
    writeFileSync(join(zypp, 'a-huge'), Buffer.alloc(1024 * 1024 + 1));
    writeFileSync(join(zypp, 'b-good'), 'x');
    const { found, warnings } = await read();
    expect(Object.keys(found['/run/secrets/credentials.d'] as object)).toEqual(['b-good']);
    expect(warnings).toEqual([`${join(zypp, 'a-huge')} is left out: credentials are limited to 1000 files and 1 MiB`]);
  });
});

function told(node: SecretNode): unknown {
  return node.kind === 'file'
    ? `${node.mode.toString(8)} ${node.content.toString()}`
    : Object.fromEntries([...node.entries].map(([name, child]) => [name, told(child)]));
}
