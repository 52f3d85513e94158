import { describe, expect, it } from 'vitest';
import { ENVIRONMENT_FILE_CASES, WORDS_CASES } from '../support/sysconfig-cases.ts';
import { SystemRig } from '../support/system-rig.ts';

const obstacle = SystemRig.obstacle();
const DIRECTORY = '/var/tmp/cases';

/** What systemd gives every service, whatever the file says. */
const GIVEN = new Set(['LANG', 'PATH', 'INVOCATION_ID', 'JOURNAL_STREAM', 'SYSTEMD_EXEC_PID', 'LC_ALL', 'LANGUAGE']);

const UNITS = {
  '/etc/systemd/system/environment@.service': `[Service]
Type=oneshot
EnvironmentFile=${DIRECTORY}/%i
ExecStart=/usr/bin/env -0
StandardOutput=truncate:${DIRECTORY}/%i.out
`,
  '/etc/systemd/system/words@.service': `[Service]
Type=oneshot
EnvironmentFile=${DIRECTORY}/%i
ExecStart=/usr/bin/printf '%%s\\0' first $DOCKER_OPTS
StandardOutput=truncate:${DIRECTORY}/%i.out
`,
};

/** Runs a service for each file; what each wrote, null where systemd did not start it. */
async function outputs(rig: SystemRig, unit: string, files: readonly Buffer[]): Promise<readonly (string | null)[]> {
  await rig.ok(`mkdir -p ${DIRECTORY}`);
  for (const [index, file] of files.entries()) {
    await rig.ok(`base64 -d > ${DIRECTORY}/${unit}-${String(index)}`, { stdin: file.toString('base64') });
  }
  const results: (string | null)[] = [];
  for (const index of files.keys()) {
    const name = `${unit}-${String(index)}`;
    const started = await rig.run(`systemctl start ${unit}@${name}.service`);
    const encoded = await rig.ok(`base64 -w0 ${DIRECTORY}/${name}.out || true`);
    results.push(started.code === 0 ? Buffer.from(encoded, 'base64').toString() : null);
  }
  return results;
}

describe.skipIf(obstacle !== null)(
  `systemd reads sysconfig files as our table says${obstacle === null ? '' : ` (skipped: ${obstacle})`}`,
  () => {
    it('variables, and the words of $DOCKER_OPTS', async () => {
      await using rig = await SystemRig.boot({ files: UNITS });
      const version = Number(/systemd (\d+)/.exec(await rig.ok('systemctl --version'))?.[1]);
      const environments = await outputs(
        rig,
        'environment',
        ENVIRONMENT_FILE_CASES.map(({ file }) => Buffer.from(file, 'latin1')),
      );
      expect(
        Object.fromEntries(ENVIRONMENT_FILE_CASES.map(({ name }, at) => [name, environmentOf(environments[at])])),
      ).toEqual(
        Object.fromEntries(
          ENVIRONMENT_FILE_CASES.map(({ name, environment, before254 }) => [
            name,
            version < 254 ? (before254 ?? environment) : environment,
          ]),
        ),
      );
      const words = await outputs(
        rig,
        'words',
        WORDS_CASES.map(({ value }) => Buffer.from(`DOCKER_OPTS="${value.replace(/["\\$`]/g, String.raw`\$&`)}"\n`)),
      );
      expect(
        Object.fromEntries(WORDS_CASES.map(({ name }, at) => [name, words[at]?.split('\0').slice(1, -1)])),
      ).toEqual(Object.fromEntries(WORDS_CASES.map(({ name, words: wanted }) => [name, wanted])));
    });
  },
);

function environmentOf(output: string | null | undefined): Readonly<Record<string, string>> | null {
  if (output === null || output === undefined) return null;
  return Object.fromEntries(
    output
      .split('\0')
      .filter((entry) => entry !== '')
      .map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)] as const)
      .filter(([name]) => !GIVEN.has(name)),
  );
}
