import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config/config.ts';
import { HOST_FILES, proposedFiles, type ConfigFiles } from '../../../src/config/files.ts';
import { validateConfig } from '../../../src/config/validate.ts';
import { DAEMON_JSON, memoryFiles, SYSCONFIG } from './sources.ts';

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'moored-config-files-'));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

/** Files of which one fails as the kernel would. */
function failing(path: string, code: string): ConfigFiles {
  const fail = (asked: string): void => {
    if (asked === path) throw Object.assign(new Error(code), { code });
  };
  return {
    read: (asked) => {
      fail(asked);
      return null;
    },
    list: (asked) => {
      fail(asked);
      return [];
    },
  };
}

const load = (files: ConfigFiles, argv: readonly string[] = []): unknown =>
  loadConfig({ argv, environment: {}, version: '1', files });

describe('files that cannot be read', () => {
  it.each([
    [
      DAEMON_JSON,
      'EACCES',
      `unable to configure the Docker daemon with file ${DAEMON_JSON}: open ${DAEMON_JSON}: permission denied`,
    ],
    [`${DAEMON_JSON}.d`, 'EACCES', `open ${DAEMON_JSON}.d: permission denied`],
    [DAEMON_JSON, 'EIO', `open ${DAEMON_JSON}: input/output error`],
    [SYSCONFIG, 'EACCES', `unable to configure the Docker daemon: open ${SYSCONFIG}: permission denied`],
  ])('%s with %s', (path, code, message) => {
    expect(() => load(failing(path, code))).toThrow(message);
  });

  it('are told with their path as problems too', () => {
    const verdict = validateConfig({ argv: [], environment: {}, version: '1', files: failing(SYSCONFIG, 'EACCES') });
    expect(verdict.config).toBeNull();
    expect(verdict.problems).toEqual([expect.objectContaining({ severity: 'error', file: SYSCONFIG })]);
  });
});

describe('the files of the host', () => {
  it('are read, fragments by their names; what is missing is none', () => {
    const path = join(directory, 'daemon.json');
    const sysconfig = join(directory, 'sysconfig');
    writeFileSync(path, '{"debug": true}');
    writeFileSync(sysconfig, 'DOCKER_ICC="no"\nDOCKER_IPTABLES="no"\n');
    mkdirSync(`${path}.d`);
    writeFileSync(join(`${path}.d`, '20.json'), '{"mtu": 1420}');
    writeFileSync(join(`${path}.d`, '10.json'), '{"mtu": 1410}');
    const config = loadConfig({
      argv: ['--config-file', path, '--sysconfig-file', sysconfig],
      environment: {},
      version: '1',
    });
    expect([config.get('debug'), config.get('mtu'), config.get('iptables')]).toEqual([true, 1420, false]);
    expect([config.configFile, config.sysconfigFile]).toEqual([path, sysconfig]);
    expect(HOST_FILES.read(join(directory, 'none'))).toBeNull();
    expect(HOST_FILES.list(join(directory, 'none'))).toEqual([]);
    expect(HOST_FILES.read(join(path, 'below-a-file'))).toBeNull();
  });

  it('are no directories', () => {
    expect(() => load(HOST_FILES, ['--config-file', directory])).toThrow(`open ${directory}: is a directory`);
  });

  it('are no pipes, which would hold the engine', () => {
    const pipe = join(directory, 'pipe');
    execFileSync('mkfifo', [pipe]);
    expect(() => load(HOST_FILES, ['--config-file', pipe])).toThrow(`open ${pipe}: is a named pipe`);
    expect(() => load(HOST_FILES, ['--sysconfig-file', pipe])).toThrow(`open ${pipe}: is a named pipe`);
  });
});

describe('a proposal', () => {
  const below = memoryFiles({ [DAEMON_JSON]: '{"mtu": 1400}', [`${DAEMON_JSON}.d/old.json`]: '{"debug": true}' });

  it('replaces, adds and takes away, without writing', () => {
    const files = proposedFiles(
      new Map([
        [DAEMON_JSON, Buffer.from('{"mtu": 1450}')],
        [`${DAEMON_JSON}.d/new.json`, Buffer.from('{"labels": ["a=1"]}')],
        [`${DAEMON_JSON}.d/old.json`, null],
      ]),
      below,
    );
    const config = loadConfig({ argv: [], environment: {}, version: '1', files });
    expect([config.get('mtu'), config.get('label'), config.get('debug')]).toEqual([1450, ['a=1'], false]);
    expect(below.list(`${DAEMON_JSON}.d`)).toEqual(['old.json']);
  });

  it('is refused as the daemon would refuse it', () => {
    const files = proposedFiles(new Map([[DAEMON_JSON, Buffer.from('{"mtu": "x"}')]]), below);
    const verdict = validateConfig({ argv: [], environment: {}, version: '1', files });
    expect(verdict.refusal).toContain('json: cannot unmarshal string into Go struct field Config.mtu of type int');
    expect(verdict.problems).toEqual([expect.objectContaining({ file: DAEMON_JSON, line: 1, subject: 'mtu' })]);
  });
});
