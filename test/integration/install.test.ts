import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { appendFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const RULES = '/etc/audit/rules.d/docker.rules';
let bundle: string;
let tree: string;

beforeAll(async () => {
  bundle = await mkdtemp(join(tmpdir(), 'moored-bundle-'));
  const made = spawnSync(join(ROOT, 'bin/bundle'), [bundle], { encoding: 'utf8' });
  expect(made.stderr).toBe('');
  expect(made.status).toBe(0);
});
afterAll(async () => rm(bundle, { recursive: true, force: true }));
beforeEach(async () => {
  tree = await mkdtemp(join(tmpdir(), 'moored-install-'));
});
afterEach(async () => rm(tree, { recursive: true, force: true }));

function install(...words: readonly string[]): SpawnSyncReturns<string> {
  return spawnSync(join(ROOT, 'install'), [`DESTDIR=${tree}`, `BUNDLE=${bundle}`, ...words], { encoding: 'utf8' });
}

function installed(...words: readonly string[]): void {
  const result = install(...words);
  expect(result.status, result.stderr).toBe(0);
}

function read(path: string): string {
  return readFileSync(join(tree, path), 'utf8');
}

function modeOf(path: string): string {
  return (statSync(join(tree, path)).mode & 0o7777).toString(8);
}

/** Every file and link below the tree, without the bundle's. */
function files(): readonly string[] {
  return readdirSync(tree, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(tree.length))
    .filter((path) => !path.includes('/lib/moored/') && !path.includes('/interfaces/'))
    .sort();
}

describe('./install', () => {
  test('lays down all that a host needs', () => {
    installed();
    expect(files().filter((path) => !path.includes('sysconfig'))).toEqual([
      RULES,
      '/usr/bin/moor',
      '/usr/bin/moored',
      '/usr/lib/systemd/system/docker-autostart.service',
      '/usr/lib/systemd/system/docker.service',
      '/usr/lib/systemd/system/docker.slice',
      '/usr/lib/systemd/system/docker.socket',
      '/usr/lib/sysusers.d/docker.conf',
      '/usr/lib/tmpfiles.d/docker.conf',
      '/usr/lib/udev/rules.d/80-docker.rules',
      '/usr/share/dbus-1/system-services/org.moored.Engine1.service',
      '/usr/share/dbus-1/system.d/org.moored.Engine1.conf',
      '/usr/share/doc/moored/packaging.md',
      '/usr/share/polkit-1/actions/org.moored.Engine1.policy',
      '/usr/share/polkit-1/rules.d/50-org.moored.Engine1.rules',
    ]);
    expect(readdirSync(join(tree, 'usr/share/dbus-1/interfaces'))).toContain('org.moored.Engine1.Manager.xml');
    expect([modeOf(RULES), modeOf('/etc/docker'), modeOf('/usr/bin/moor')]).toEqual(['640', '755', '755']);
    expect(readdirSync(join(tree, 'etc/docker')).sort()).toEqual(['certs.d', 'daemon.json.d']);
    expect(modeOf('/usr/lib/systemd/system/docker.service')).toBe('644');
    expect(readlinkSync(join(tree, 'usr/lib/moored/bin/moored'))).toBe('node');
    for (const path of files()) expect(read(path), path).not.toMatch(/@[A-Z]+@/);
  });

  test('follows PREFIX, SYSCONFDIR and UNITDIR; what the bus and polkit read stays where they look', () => {
    installed('PREFIX=/opt/moored', 'SYSCONFDIR=/opt/etc', 'UNITDIR=/opt/units');
    expect(files()).toEqual(
      expect.arrayContaining([
        '/opt/etc/audit/rules.d/docker.rules',
        '/opt/etc/dbus-1/system.d/org.moored.Engine1.conf',
        '/opt/etc/polkit-1/rules.d/50-org.moored.Engine1.rules',
        '/opt/moored/bin/moor',
        '/opt/units/docker.service',
        '/usr/local/share/dbus-1/system-services/org.moored.Engine1.service',
        '/usr/share/polkit-1/actions/org.moored.Engine1.policy',
      ]),
    );
    expect(read('/opt/units/docker.service')).toContain('ExecStart=/opt/moored/lib/moored/bin/moored ');
    expect(read('/opt/units/docker.service')).toContain(' --config-file=/opt/etc/docker/daemon.json');
    expect(read('/opt/etc/docker/daemon.json')).toBe('{}\n');
    expect(read('/opt/moored/bin/moor')).toContain('exec /opt/moored/lib/moored/bin/node ');
    expect(read('/opt/etc/audit/rules.d/docker.rules')).toContain('-w /opt/etc/docker -p wa');
  });

  test('makes programs that run without the checkout', () => {
    installed();
    const node = join(tree, 'usr/lib/moored/bin/node');
    const version = (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }).version;
    for (const entry of ['service', 'cli']) {
      const result = spawnSync(node, [join(tree, `usr/lib/moored/src/${entry}/main.js`), '--version'], {
        cwd: '/',
        encoding: 'utf8',
      });
      expect(result.stderr).toBe('');
      expect(result.stdout).toContain(version);
    }
  });

  test('a second time changes nothing, keeps what the administrator changed and takes away what is gone', async () => {
    installed();
    const manifest = read('/usr/lib/moored/manifest');
    installed();
    expect(read('/usr/lib/moored/manifest').split('\n').sort()).toEqual(manifest.split('\n').sort());

    await appendFile(join(tree, RULES), '-w /srv -p wa -k mine\n');
    await writeFile(join(tree, 'usr/lib/moored/src/service/chunk-OLD.js'), '');
    await mkdir(join(tree, 'usr/lib/moored/old'));
    await appendFile(
      join(tree, 'usr/lib/moored/manifest'),
      'file - /usr/lib/moored/src/service/chunk-OLD.js\ndir - /usr/lib/moored/old\n',
    );
    installed();
    expect(read(RULES)).toContain('-k mine');
    expect(readdirSync(join(tree, 'etc/audit/rules.d'))).toEqual(['docker.rules']);
    expect(readdirSync(join(tree, 'usr/lib/moored'))).not.toContain('old');
    expect(readdirSync(join(tree, 'usr/lib/moored/src/service'))).not.toContain('chunk-OLD.js');
  });

  test('a new version of a changed file lies beside it', async () => {
    installed('LIBDIR=/usr/lib/moored');
    await appendFile(join(tree, RULES), '-w /srv -p wa -k mine\n');
    installed('LIBDIR=/usr/lib/moored', 'UNITDIR=/usr/lib/units');
    expect(read(RULES)).toContain('-k mine');
    expect(read(`${RULES}.rpmnew`)).toContain('-w /usr/lib/units/docker.service');
  });

  test('merges the sysconfig file: values and comments stay, variables come in, what cannot be merged is told', async () => {
    const path = '/etc/sysconfig/docker';
    installed();
    expect(read(path)).toBe(readFileSync(join(ROOT, 'sysconfig/docker'), 'utf8'));
    expect(read('/usr/share/fillup-templates/sysconfig.docker')).toBe(read(path));
    expect(modeOf(path)).toBe('644');

    const value = 'DOCKER_OPTS="--label a=b \\\n  --debug"\n';
    await writeFile(join(tree, path), `# ours\n${value}`);
    installed();
    expect(read(path)).toContain('# ours\n');
    expect(read(path)).toContain(`\n${value}`);
    expect(read(path)).toMatch(/^DOCKER_LOG_LEVEL=""$/m);

    await writeFile(join(tree, path), 'DOCKER_OPTS="--debug\n');
    const result = install();
    expect(result.status).toBe(0);
    expect(result.stderr).toContain(`mend ${path}, then merge: /usr/bin/moored sysconfig merge /usr/share/fillup`);
    expect(read(path)).toBe('DOCKER_OPTS="--debug\n');
  });

  test('a package gets neither manifest nor merged configuration', () => {
    installed('PACKAGE=yes');
    expect(readdirSync(join(tree, 'usr/lib/moored'))).not.toContain('manifest');
    expect(readdirSync(join(tree, 'etc'))).not.toContain('sysconfig');
  });
});

describe('./install --uninstall', () => {
  test('takes away all that was laid down, and leaves what was there before', async () => {
    await mkdir(join(tree, 'usr/bin'), { recursive: true });
    await writeFile(join(tree, 'usr/bin/other'), '');
    installed();
    const result = install('--uninstall');
    expect(result.stderr).toBe('');
    expect(result.status).toBe(0);
    expect(readdirSync(tree, { recursive: true }).sort()).toEqual(['usr', 'usr/bin', 'usr/bin/other']);
  });

  test('keeps changed configuration as .rpmsave and folders that hold something', async () => {
    installed();
    await appendFile(join(tree, RULES), '-w /srv -p wa -k mine\n');
    await writeFile(join(tree, 'etc/docker/daemon.json'), '{}');
    const result = install('--uninstall');
    expect(result.status).toBe(0);
    expect(result.stderr).toContain(`${RULES} was changed here and stays as ${RULES}.rpmsave`);
    expect(result.stderr).toContain('/etc/docker stays: it holds what is not mine');
    expect(files()).toEqual([`${RULES}.rpmsave`, '/etc/docker/daemon.json']);
  });
});

describe('./install refuses', () => {
  test.each([
    [['PREFIX=usr'], 1, "PREFIX: an absolute path, please (is 'usr')"],
    [['LIBDIR=/opt/a b'], 1, 'LIBDIR: a path without blanks'],
    [['UNITDIR=/opt/a|b'], 1, 'UNITDIR: a path without blanks'],
    [['SYSCONFDIR=/etc/%n'], 1, 'SYSCONFDIR: a path without blanks'],
    [['--remove'], 2, 'unknown word: --remove'],
    [['BUNDLE=/etc'], 1, '/etc is no bundle. Cure: bin/bundle /etc'],
    [['--uninstall'], 1, 'nothing was laid down by this script with these paths'],
  ])('%j', (words, status, message) => {
    const result = install(...words);
    expect(result.stderr).toContain(message);
    expect(result.status).toBe(status);
    expect(files()).toEqual([]);
  });

  test('the live system to anybody but root', () => {
    const result = spawnSync('bash', ['install', 'DESTDIR='], { cwd: ROOT, encoding: 'utf8', uid: 65534, gid: 65534 });
    expect(result.stderr).toContain('needs root, or DESTDIR');
    expect(result.status).toBe(1);
  });
});

describe('bin/bundle', () => {
  test('does not empty a folder that is not its own', async () => {
    await writeFile(join(tree, 'precious'), '');
    const result = spawnSync(join(ROOT, 'bin/bundle'), [tree], { encoding: 'utf8' });
    expect(result.stderr).toContain('is not empty and no bundle of mine');
    expect(result.status).toBe(1);
    expect(readdirSync(tree)).toEqual(['precious']);
  });

  test('keeps lazy what the sources load late: an idle engine has no registry client in its first files', () => {
    const folder = join(bundle, 'src/service');
    const [daemon = ''] = readdirSync(folder).filter((name) => /^daemon-.*\.js$/.test(name));
    const first = [...reachable(join(folder, daemon))];
    expect(first.length).toBeGreaterThan(3);
    expect(first.filter((path) => readFileSync(path, 'utf8').includes('node_modules/undici/'))).toEqual([]);
  });
});

/** A file of the bundle, and what it imports statically. */
function reachable(entry: string, found = new Set<string>()): ReadonlySet<string> {
  if (found.has(entry)) return found;
  found.add(entry);
  const imports = readFileSync(entry, 'utf8').matchAll(/^(?:import|export)\b[^;"']*?(?:from\s*)?["'](\.[^"']+)["']/gm);
  for (const [, target = ''] of imports) reachable(join(entry, '..', target), found);
  return found;
}
