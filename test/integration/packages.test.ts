import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const VERSION = (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }).version;
/** Enabling or starting belongs to the administrator; a restart of what runs does not. */
const STARTS = /^[^#\n]*systemctl\b.*\s(start|restart|enable|reenable)\b/m;
let folder: string;
/** What ./install lays down for a package: path below the root → mode. */
let expected: ReadonlyMap<string, string>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'moored-packages-'));
  succeed(join(ROOT, 'bin/bundle'), join(folder, 'bundle'));
  const tree = join(folder, 'tree');
  succeed(join(ROOT, 'install'), `DESTDIR=${tree}`, `BUNDLE=${join(folder, 'bundle')}`, 'PACKAGE=yes');
  expected = await modesOf(tree);
});
afterAll(async () => rm(folder, { recursive: true, force: true }));

function succeed(program: string, ...words: readonly string[]): string {
  const env = { ...process.env, FAST: 'yes', BUNDLE: join(folder, 'bundle') };
  const result = spawnSync(program, words, { env, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  expect(result.status, `${program} ${words.join(' ')}\n${result.stdout}${result.stderr}`).toBe(0);
  return result.stdout.trim();
}

function build(kind: 'deb' | 'rpm'): string {
  return succeed(join(ROOT, 'packaging/build'), kind, join(folder, kind));
}

/** Files and links below a folder, without directories. */
async function modesOf(tree: string): Promise<ReadonlyMap<string, string>> {
  const found = succeed('find', tree, '!', '-type', 'd', '-printf', '%P %#m %l\\n');
  return new Map(
    found.split('\n').map((line) => [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)]),
  );
}

/** Without what a package format has of its own. */
function without(modes: ReadonlyMap<string, string>, own: RegExp): Readonly<Record<string, string>> {
  return Object.fromEntries([...modes].filter(([path]) => !own.test(path)).sort());
}

/** Which of the programs is not there; null when all are. */
function missing(...programs: readonly string[]): string | null {
  return programs.find((name) => !existsSync(join('/usr/bin', name))) ?? null;
}

function titled(title: string, absent: string | null): string {
  return absent === null ? title : `${title} (skipped: ${absent} is not installed)`;
}

const NO_DEB = missing('dpkg-deb');
const NO_RPM = missing('rpmbuild', 'rpmspec', 'rpm2cpio', 'cpio');

describe.skipIf(NO_DEB !== null)(titled('Debian package', NO_DEB), () => {
  test('holds what ./install lays down, owned by root, and starts nothing', async () => {
    const file = build('deb');
    const tree = join(folder, 'deb-tree');
    succeed('dpkg-deb', '-R', file, tree);
    const control = readFileSync(join(tree, 'DEBIAN/control'), 'utf8');
    expect(control).toContain(`\nVersion: ${VERSION}\n`);
    expect(control).not.toMatch(/@[A-Z_]+@/);
    expect(control).toMatch(/^Conflicts: .*docker\.io/m);
    expect(readFileSync(join(tree, 'DEBIAN/conffiles'), 'utf8').trim().split('\n')).toEqual(
      [...expected.keys()].filter((path) => path.startsWith('etc/')).map((path) => `/${path}`),
    );
    for (const script of ['postinst', 'prerm', 'postrm']) {
      const text = readFileSync(join(tree, 'DEBIAN', script), 'utf8');
      expect(text).not.toMatch(STARTS);
      succeed('sh', '-n', join(tree, 'DEBIAN', script));
    }
    expect(readFileSync(join(tree, 'DEBIAN/md5sums'), 'utf8')).toContain('  usr/lib/moored/bin/node\n');
    const owners = new Set(
      succeed('dpkg-deb', '-c', file)
        .split('\n')
        .map((line) => line.split(/\s+/)[1]),
    );
    expect([...owners]).toEqual(['root/root']);
    await rm(join(tree, 'DEBIAN'), { recursive: true });
    expect(without(await modesOf(tree), /copyright$/)).toEqual(without(expected, /^$/));
  });
});

describe.skipIf(NO_RPM !== null)(titled('RPM', NO_RPM), () => {
  test('holds what ./install lays down, asks for what the engine loads, and starts nothing', async () => {
    const file = build('rpm');
    const query = (...words: readonly string[]): string => succeed('rpm', '-qp', ...words, file);
    expect(query('--qf', '%{NAME} %{VERSION}')).toBe(`moored ${VERSION}`);
    expect(query('--requires')).toMatch(/^libnftables\.so\.1\(\)\(64bit\)$/m);
    expect(query('--requires')).toMatch(/^\(crun or runc\)$/m);
    expect(query('--conflicts').split('\n')).toContain('docker');
    expect(query('--provides')).not.toContain('koffi');
    expect(query('--configfiles')).toBe('/etc/audit/rules.d/docker.rules');
    expect(query('--scripts')).toContain('sysconfig merge');
    expect(query('--scripts')).not.toMatch(STARTS);
    const folders = query('--qf', '[%{FILEMODES:perms} %{FILENAMES}\\n]').split('\n');
    expect(folders).toContain('drwxr-xr-x /etc/docker');
    expect(folders.filter((line) => / \/usr\/(bin|share\/dbus-1\/system\.d|lib\/systemd\/system)$/.test(line))).toEqual(
      [],
    );

    const tree = join(folder, 'rpm-tree');
    await mkdir(tree);
    succeed('sh', '-c', `rpm2cpio '${file}' | (cd '${tree}' && cpio -idm --quiet)`);
    expect(without(await modesOf(tree), /^usr\/share\/(doc|licenses)\/moored-/)).toEqual(without(expected, /^$/));
    expect(await readdir(join(tree, 'etc'))).not.toContain('sysconfig');
  });

  test('on SUSE uses its macros for services, users and files below /var', () => {
    const macros = [
      'service_add_pre',
      'service_add_post',
      'service_del_preun',
      'service_del_postun',
      'tmpfiles_create',
    ];
    const defines = [
      ...macros.map((name) => `${name}() called ${name} %*`),
      'sysusers_generate_pre() touch %2.pre',
      'sysusers_requires Requires(pre): sysuser-shadow',
      'udev_rules_update called udev_rules_update',
      'suse_version 1600',
    ].flatMap((define) => ['--define', define]);
    const spec = succeed('rpmspec', '-P', ...defines, join(ROOT, 'packaging/moored.spec'));
    for (const name of macros) expect(spec).toContain(`called ${name} `);
    expect(spec).toContain('called service_add_pre docker.service docker.socket docker-autostart.service');
    expect(spec).toContain('/usr/sbin/rcdocker');
    expect(spec).not.toMatch(STARTS);
  });
});

test('packaging/build says what it takes', () => {
  const result = spawnSync(join(ROOT, 'packaging/build'), ['tar'], { encoding: 'utf8' });
  expect(result.status).toBe(2);
  expect(result.stderr).toContain('packaging/build rpm|deb [FOLDER]');
});
