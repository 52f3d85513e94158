import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../../../src/config/config.ts';
import { OPTIONS, type OptionDefinition } from '../../../../src/config/options.ts';
import { parseSysconfig } from '../../../../src/config/sysconfig.ts';
import { mergeTemplate } from '../../../../src/config/sysconfig-editing.ts';
import { readAsFillup, readAsShell, readAsYast } from '../../../../src/config/sysconfig/readers.ts';
import { typeMismatch } from '../../../../src/config/sysconfig/types.ts';
import { FLAG_VARIABLES, KNOWN_VARIABLES } from '../../../../src/config/variables.ts';

const template = readFileSync('sysconfig/docker');
const { assignments, problems } = parseSysconfig(template, { knownKeys: KNOWN_VARIABLES, wordKeys: FLAG_VARIABLES });
const options = OPTIONS.filter(({ variable }) => variable !== undefined);

/** Types that say more than the table does; the others follow from it. */
const CLOSER: Readonly<Record<string, string>> = {
  DOCKER_LOG_LEVEL: 'list(debug,info,warn,error,fatal)',
  DOCKER_STORAGE_DRIVER: 'list(btrfs,devicemapper,overlay2,vfs)',
  DOCKER_DATA_ROOT: 'regexp(^/)',
  DOCKER_LOG_DRIVER: 'string(json-file,local,journald,syslog,gelf,fluentd,none)',
  DOCKER_DEFAULT_RUNTIME: 'string(crun,runc)',
  DOCKER_MAX_CONCURRENT_DOWNLOADS: 'integer(0:)',
  DOCKER_MAX_CONCURRENT_UPLOADS: 'integer(0:)',
  DOCKER_MTU: 'integer(0:)',
  DOCKER_PRUNE_SCHEDULE: 'string(@daily,@weekly,@monthly)',
};

function typeOf(option: OptionDefinition): string {
  switch (option.type) {
    case 'boolean':
      return 'yesno';
    case 'integer':
      return option.minimum === undefined && option.maximum === undefined
        ? 'integer'
        : `integer(${String(option.minimum ?? '')}:${String(option.maximum ?? '')})`;
    case 'string':
      return option.values === undefined ? 'string' : `list(${option.values.join(',')})`;
    case 'list':
      return option.values === undefined ? 'string' : `string(${option.values.join(',')})`;
    default:
      return 'string';
  }
}

function defaultOf({ type, fallback }: OptionDefinition): string {
  if (type === 'boolean') return fallback ? 'yes' : 'no';
  return Array.isArray(fallback)
    ? fallback.join(' ')
    : typeof fallback === 'number'
      ? String(fallback)
      : (fallback as string);
}

describe('the sysconfig template', () => {
  it('has every typed variable and those with flags, once, and nothing else', () => {
    const wanted = [...FLAG_VARIABLES, ...options.map(({ variable }) => variable)];
    expect(assignments.map(({ name }) => name).sort()).toEqual(wanted.sort());
  });

  it('falls into no trap', () => {
    expect(problems).toEqual([]);
  });

  it.each(options.map((option) => [option.variable ?? '', option] as const))(
    '%s has the type, the default and the action that its option wants',
    (name, option) => {
      const metadata = assignments.find((variable) => variable.name === name)?.metadata;
      expect(metadata?.type).toBe(CLOSER[name] ?? typeOf(option));
      expect(metadata?.default).toBe(defaultOf(option));
      expect(name === 'DOCKER_PRUNE_TARGETS' || typeMismatch(metadata?.type ?? '', metadata?.default ?? '')).toBeOneOf([
        true,
        null,
      ]);
      const live = option.live === true;
      expect(metadata?.actions.serviceReload).toEqual(live ? ['docker'] : []);
      expect(metadata?.actions.serviceRestart).toEqual(live ? [] : ['docker']);
    },
  );

  it('restarts for flags, any of which may need it, as SUSE always did', () => {
    for (const name of FLAG_VARIABLES) {
      expect(assignments.find((variable) => variable.name === name)?.metadata.actions).toMatchObject({
        serviceReload: [],
        serviceRestart: ['docker'],
      });
    }
  });

  it('is where the guides say, and describes every variable and every place', () => {
    expect(assignments.find(({ name }) => name === 'DOCKER_OPTS')?.metadata.path).toBe('System/Management');
    for (const { metadata } of assignments) {
      expect(metadata.path).toMatch(/^System\/Management(\/Docker\/[A-Z][a-z]+)?$/);
      expect([metadata.help, metadata.description]).not.toContain('');
    }
  });

  it('is read by all four readers as the defaults', () => {
    for (const { raw, value } of assignments) {
      expect([value, readAsShell(raw), readAsYast(raw), readAsFillup(raw, value)]).toEqual(['', '', '', '']);
    }
  });

  it('gives the configuration that no file gives', () => {
    const load = (content: Buffer | null) =>
      loadConfig({
        argv: [],
        environment: {},
        version: '1',
        files: { read: (path) => (path === '/etc/sysconfig/docker' ? content : null), list: () => [] },
      });
    const shown = (content: Buffer | null) => load(content).settings.map(({ option, value }) => [option.flag, value]);
    expect(shown(template)).toEqual(shown(null));
    expect(load(template).problems).toEqual([]);
  });

  it('has blocks that stand for themselves, each with the keywords where fillup finds them', () => {
    for (const block of template.toString().trimEnd().split('\n\n')) {
      expect(block).toMatch(
        /^## Path: \S+\n(## Description: .+\n)?## Type: \S+\n## Default: \S.*\n## ServiceReload: \S+\n/,
      );
      expect(block).toMatch(/\n## ServiceRestart: \S+\n#\n(# .*\n)+#\n[A-Z_]+=""$/);
    }
  });

  it("brings SUSE's file up to date", () => {
    const stock =
      '\n## Path           : System/Management\n## Description    : Extra cli switches for docker daemon\n## Type           : string\n## Default        : ""\n## ServiceRestart : docker\n#\nDOCKER_OPTS="--debug"\n';
    const merged = parseSysconfig(mergeTemplate(template, Buffer.from(stock)));
    expect(merged.problems).toEqual([]);
    expect(merged.variables.get('DOCKER_OPTS')?.raw).toBe('DOCKER_OPTS="--debug"');
    expect(merged.assignments.map(({ name, metadata }) => [name, metadata.actions, metadata.type])).toEqual(
      assignments.map(({ name, metadata }) => [name, metadata.actions, metadata.type]),
    );
  });
});
