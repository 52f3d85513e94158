import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { SERVICE } from '../../../src/dbus/names.ts';

const ROOT = join(import.meta.dirname, '../../..');

function text(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

function matches(path: string, pattern: RegExp): readonly string[] {
  return [...text(path).matchAll(pattern)].map((match) => match[1] ?? '');
}

/** What src/dbus/names.ts lists as PolkitAction. */
const ACTIONS = (/type PolkitAction =([^;]*);/.exec(text('src/dbus/names.ts'))?.[1] ?? '')
  .split('|')
  .map((word) => word.trim().replaceAll("'", ''))
  .filter((word) => word !== '')
  .sort();

describe('polkit', () => {
  test('the policy has each action of the interface, and no other', () => {
    const declared = matches('systemd/polkit/org.moored.Engine1.policy', /<action id="([^"]+)">/g);
    expect(ACTIONS.length).toBeGreaterThan(5);
    expect([...declared].sort()).toEqual(ACTIONS.map((action) => `${SERVICE}.${action}`));
  });

  test('each action that a method asks for is declared', () => {
    const folder = 'src/dbus/introspection';
    const asked = readdirSync(join(ROOT, folder)).flatMap((file) =>
      matches(join(folder, file), /PolkitAction" value="([^"]+)"/g),
    );
    const declared = ACTIONS.map((action) => `${SERVICE}.${action}`);
    expect(asked.length).toBeGreaterThan(20);
    expect(asked.filter((action) => !declared.includes(action))).toEqual([]);
  });

  test('a password is asked for each time where a shell or the configuration is at stake', () => {
    const policy = text('systemd/polkit/org.moored.Engine1.policy');
    const kept = [...policy.matchAll(/<action id="([^"]+)">[^]*?<allow_active>([^<]+)</g)]
      .filter(([, , active]) => active === 'auth_admin')
      .map(([, action]) => action);
    expect(kept.sort()).toEqual([`${SERVICE}.configure`, `${SERVICE}.exec`]);
    expect(policy).not.toMatch(/<allow_(any|inactive)>(?!auth_admin<)/);
  });

  test('the rule lets the docker group do what its socket lets it do, and nothing else', () => {
    const rule = ruleOf(text('systemd/polkit/50-org.moored.Engine1.rules'));
    const allowed = ACTIONS.filter((action) => rule(`${SERVICE}.${action}`, ['docker']) === 'yes');
    expect(allowed).toEqual(ACTIONS.filter((action) => action !== 'configure' && action !== 'manage-engine'));
    expect(ACTIONS.filter((action) => rule(`${SERVICE}.${action}`, ['users']) !== 'not handled')).toEqual([]);
    expect(rule(`${SERVICE}0.exec`, ['docker'])).toBe('not handled');
    expect(rule('org.freedesktop.systemd1.manage-units', ['docker'])).toBe('not handled');
  });
});

type Rule = (action: { readonly id: string }, subject: { readonly isInGroup: (name: string) => boolean }) => string;

/** Runs a rules file as polkit does, and gives the rule that it adds. */
function ruleOf(source: string): (action: string, groups: readonly string[]) => string {
  const rules: Rule[] = [];
  const polkit = {
    addRule: (rule: Rule) => rules.push(rule),
    Result: { YES: 'yes', NO: 'no', NOT_HANDLED: 'not handled' },
  };
  runInNewContext(source, { polkit });
  const [rule] = rules;
  if (rule === undefined) throw new Error('the file adds no rule');
  return (id, groups) => rule({ id }, { isInGroup: (name) => groups.includes(name) });
}

describe('audit rules', () => {
  test('each line is a watch as auditctl(8) takes it, with one key', () => {
    const lines = text('systemd/audit/docker.rules')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    expect(lines.length).toBeGreaterThan(5);
    expect(lines.filter((line) => !/^-w (@[A-Z]+@|\/)\S* -p [rwxa]+ -k docker$/.test(line))).toEqual([]);
  });
});

describe('units', () => {
  test('a stop of the service is not a stop of its socket, and a failed start is no reason to lose it', () => {
    const socket = text('systemd/docker.socket');
    expect(socket).not.toMatch(/^(BindsTo|PartOf|Requires)=/m);
    expect(socket).toMatch(/^RemoveOnStop=no$/m);
  });

  test('the service starts without a flag that a file of the administrator could contradict', () => {
    const [command] = matches('systemd/docker.service', /^ExecStart=(.*)$/gm);
    expect(command).toMatch(/ @LIBDIR@\/src\/service\/main\.js@FLAGS@$/);
    expect(text('systemd/docker.service')).not.toMatch(/^(EnvironmentFile|BindsTo|Requires=containerd)/m);
  });
});
