/** Dockerfiles that change configurations only, as we read them and as a real dockerd built them. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { text as textOf } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BuildArguments, StageArguments } from '../../src/engine/dockerfile/arguments.ts';
import { applyChanges } from '../../src/engine/dockerfile/changes.ts';
import { applyToConfig, isConfigInstruction, type StageState } from '../../src/engine/dockerfile/apply-config.ts';
import { parseDockerfile } from '../../src/engine/dockerfile/parse.ts';
import { planStages } from '../../src/engine/dockerfile/stages.ts';
import type { ImageRunConfig } from '../../src/engine/oci/image-spec.ts';
import { peerAbsence, skipNote, startDockerPeer, type DockerPeer } from '../support/docker-peer.ts';
import { tarOf } from '../support/tar-builder.ts';

const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const PLATFORM = { os: 'linux', architecture: 'amd64' };
const GIVEN = { GIVEN: 'from outside', A: 'given A' };

/** Instructions as `docker import --change` takes them: nothing of a build's price. */
const CHANGES: readonly string[] = [
  'ENV a=b c="d $a" e=\'f $a\' g=h\\ i',
  'ENV a=b\nENV c=$a d=${a} e=${x:-y} f=${a:+z} g=${x:+z}h i=\\$a j="\\$a" k="\\x" l=\'\\x\'',
  'ENV old  form with  blanks and "quotes"',
  'ENV a=b\\\n  c=d \\\n\n  e=f',
  'ENV a="b\\\nc"',
  'ENV a=a\nENV a=b c=$a\nENV a=c',
  'ENV PATH=/x:$PATH',
  'ENV a=/usr/lib b=x\nENV c=${a}${b} d=$a$b e=$ab f=$a.b g=$ h=$1 i="${a:-x y}"',
  'ENV ümlaut=ö a=日本',
  'ENV a=b=c d= e="" f=\'\'',
  'LABEL a=b "c d"="e f" g=\'h"i\' j.k/l=m',
  'LABEL a b c\nLABEL a=1 d="multi\\\nline"',
  'CMD echo hi',
  'CMD ["echo", "a\\tb", "\\u00e9", "\\ud83d\\ude00"]',
  'CMD [ "a" , "b" ]  ',
  "CMD ['a', 'b']",
  'CMD ["a",\\\n  "b"]',
  'CMD []',
  'CMD',
  'CMD ["sh"]\nENTRYPOINT ["e"]',
  'ENTRYPOINT ["e"]\nCMD ["c"]',
  'ENTRYPOINT e $x "y"',
  'ENTRYPOINT []\nCMD x',
  'EXPOSE 80 90/udp 100-102/tcp 7/SCTP',
  'ENV P="1 2"\nEXPOSE $P ${P} 8080:3',
  'VOLUME /a /b\nVOLUME ["/c d", "/e"]',
  'ENV v=/x\nVOLUME $v/y "/q"',
  'USER me\nUSER "$PATH"',
  'USER 0:0',
  'ONBUILD RUN a\nONBUILD COPY  b   c\nonbuild env x=y',
  '# comment\n  # another\nENV a=b#c',
  'ENV a=b \\\n# between\n  c=d',
  '\n\n   ENV   a=b   \t\n\t\n',
  'ENV a=b\r\nLABEL c=d\r\n',
  'HEALTHCHECK NONE',
  'HEALTHCHECK --interval=5m --timeout=3s --start-period=1h2m --retries=3 CMD curl "x" || exit 1',
  'HEALTHCHECK CMD ["a", "b c"]',
];

/** Stages that are built. */
const STAGES: readonly string[] = [
  'ARG GIVEN\nARG UNSET B=2\nENV x="$GIVEN" y=$UNSET z=${UNSET:-$B}\nLABEL a=$A b=$B',
  'ARG A=1\nENV A=env\nENV b=$A',
  'SHELL ["/bin/bash", "-ec"]\nCMD x "y"\nENTRYPOINT z\nLABEL a=b "c d"="e f"\nMAINTAINER Some "One" <a@b>',
  'EXPOSE 80 7-8/udp\nVOLUME /a ["/b"]\nUSER me:"you"\nSTOPSIGNAL 15\nONBUILD  RUN  x\nENTRYPOINT []\nCMD ["\u00fc\\t"]',
  'HEALTHCHECK --interval=90s --retries=3 CMD a "b"\nHEALTHCHECK NONE',
];

/** And with what both refuse them. */
const BAD: readonly (readonly [body: string, words: string])[] = [
  ['FRO x', 'unknown instruction: FRO'],
  ['ENV a', 'ENV must have two arguments'],
  ['ENV', 'ENV requires at least one argument'],
  ['ENV =a', 'ENV names can not be blank'],
  ['ENV a=b c', 'Syntax error - can\'t find = in "c". Must be of the form: name=value'],
  ['ENV a=b # c=d', 'Syntax error - can\'t find = in "#". Must be of the form: name=value'],
  ['ENV a="b', 'unexpected end of statement while looking for matching double-quote'],
  ['LABEL "a=b"=c', 'failed to process "\\"a": unexpected end of statement while looking for matching double-quote'],
  ["ENV a='b", 'unexpected end of statement while looking for matching single-quote'],
  ['ENV a=${b', 'failed to process "${b": '],
  ['ENV a=${b:*c}', 'unsupported modifier'],
  ['ENV a=${}', 'failed to process "${}": syntax error: bad substitution'],
  ['ENV a=${b:?say}', 'failed to process "${b:?say}": b: say'],
  ['LABEL', 'LABEL requires at least one argument'],
  ['ARG', 'ARG requires at least one argument'],
  ['ARG =x', 'ARG names can not be blank'],
  ['CMD ["a", 1]', 'when using JSON array syntax, arrays must be comprised of strings only'],
  ['SHELL x', 'SHELL requires the arguments to be in JSON form'],
  ['SHELL []', 'SHELL requires at least one argument'],
  ['EXPOSE', 'EXPOSE requires at least one argument'],
  ['USER', 'USER requires exactly one argument'],
  ['WORKDIR', 'WORKDIR requires exactly one argument'],
  ['VOLUME', 'VOLUME requires at least one argument'],
  ['VOLUME [""]', 'VOLUME specified can not be an empty string'],
  ['COPY a', 'COPY requires at least two arguments, but only one was provided. Destination could not be determined'],
  ['ADD', 'ADD requires at least two arguments, but only one was provided. Destination could not be determined'],
  ['ONBUILD', 'ONBUILD requires at least one argument'],
  ['ONBUILD FROM x', "FROM isn't allowed as an ONBUILD trigger"],
  ['ONBUILD ONBUILD CMD x', "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"],
  ['FROM a b', 'FROM requires either one or three arguments'],
  ['FROM scratch AS 1x', 'invalid name for build stage: "1x", name can\'t start with a number or contain symbols'],
  ['HEALTHCHECK FOO', 'Unknown type "FOO" in HEALTHCHECK (try CMD)'],
  ['HEALTHCHECK CMD', 'Missing command after HEALTHCHECK CMD'],
  ['HEALTHCHECK --interval=1us CMD x', 'Interval "interval" cannot be less than 1ms'],
  ['COPY --from=7 a b', 'invalid from flag value 7: '],
];

interface Built {
  readonly config: ImageRunConfig;
  readonly history: readonly string[];
}

/** What an image says: Docker leaves out what is empty, now as null and now not at all. */
function saidOf(config: ImageRunConfig): object {
  const empty = (value: unknown): boolean =>
    value === null || value === '' || value === false || (typeof value === 'object' && Object.keys(value).length === 0);
  const { Image: _, ...said } = config;
  return Object.fromEntries(Object.entries(said).filter(([, value]) => !empty(value)));
}

function ours(text: string): Built {
  const parsed = parseDockerfile(text, 'Dockerfile');
  const args = new BuildArguments(parsed, {
    given: new Map(Object.entries(GIVEN)),
    buildPlatform: PLATFORM,
    targetPlatform: PLATFORM,
    target: '',
  });
  const { target } = planStages(parsed, { target: '', globals: args.globals });
  const stage = new StageArguments(args);
  const history: string[] = [];
  let state: StageState = { config: { Env: [PATH] }, author: null, isCommandSet: false };
  for (const instruction of target.instructions) {
    const expanded = instruction.expand(stage.environment(state.config.Env ?? []));
    if (!isConfigInstruction(expanded)) throw new TypeError(`${expanded.kind} needs more than a configuration`);
    if (expanded.kind === 'arg') stage.declare(expanded);
    const step = applyToConfig(state, expanded);
    history.push(step.recorded.join(' '));
    state = step.state;
  }
  return { config: state.config, history };
}

describe.skipIf(peerAbsence !== null)(`Dockerfiles that dockerd judges${skipNote(peerAbsence)}`, () => {
  let peer: DockerPeer;
  let peerData: string;

  beforeAll(async () => {
    // In memory: each of its steps waits for the disk several times.
    peerData = mkdtempSync('/dev/shm/dockerfiles-');
    peer = await startDockerPeer('--storage-driver', 'vfs', '--data-root', peerData);
  });

  afterAll(async () => {
    await peer[Symbol.asyncDispose]();
    rmSync(peerData, { recursive: true });
  });

  /** What dockerd answers, as text. */
  async function ask(method: string, path: string, body?: Buffer): Promise<string> {
    const sent = request({ socketPath: peer.socketPath, method, path: `/v1.41${path}` });
    if (body !== undefined) sent.setHeader('Content-Type', 'application/x-tar');
    sent.end(body);
    const [answer] = (await once(sent, 'response')) as [IncomingMessage];
    return textOf(answer);
  }

  async function build(dockerfile: string): Promise<string> {
    const query = new URLSearchParams({ buildargs: JSON.stringify(GIVEN) });
    return ask('POST', `/build?${query.toString()}`, tarOf([{ name: 'Dockerfile', data: dockerfile }]));
  }

  it('change configurations alike', async () => {
    const empty = tarOf([]);
    const theirs: object[] = [];
    for (const change of CHANGES) {
      const query = new URLSearchParams({ fromSrc: '-', changes: change });
      const answer = await ask('POST', `/images/create?${query.toString()}`, empty);
      const { status = '' } = JSON.parse(answer.trimEnd().split('\n').at(-1) ?? '') as { readonly status?: string };
      const isMade = /^sha256:[0-9a-f]+$/.test(status);
      const image = isMade ? (JSON.parse(await ask('GET', `/images/${status}/json`)) as InspectedImage) : null;
      theirs.push({ change, config: image === null ? answer : saidOf(image.Config) });
    }
    expect(CHANGES.map((change) => ({ change, config: saidOf(applyChanges([change])) }))).toEqual(theirs);
  });

  it('are built alike', async () => {
    const texts = STAGES.map((body) => `FROM scratch\n${body}\n`);
    // One build: the images of its stages are in the transcript, step by step.
    const answer = await build(texts.join(''));
    expect(answer.trimEnd().split('\n').at(-1)).toContain('Successfully built');
    const theirs = await Promise.all(
      stagesOf(answer).map(async (ids) => {
        const answers = await Promise.all(ids.map(async (id) => await ask('GET', `/images/${id}/json`)));
        const images = answers.map((json) => JSON.parse(json) as InspectedImage);
        const history = images.map(({ ContainerConfig: { Cmd: words } }) => words.join(' '));
        return { config: saidOf(images.at(-1)?.Config ?? {}), history };
      }),
    );
    const built = texts.map((text) => {
      const { config, history } = ours(text);
      return { text, config: saidOf(config), history: history.map(asBefore) };
    });
    expect(built).toEqual(texts.map((text, index) => ({ text, ...theirs[index] })));
  });

  it('are refused alike', async () => {
    const answers: (readonly [body: string, words: string])[] = [];
    for (const [body, words] of BAD) {
      const answer = await build(`FROM scratch\n${body}\n`);
      const fault = JSON.parse(answer.trimEnd().split('\n').at(-1) ?? '') as Fault;
      const said = fault.message ?? fault.error ?? '';
      answers.push([body, said.includes(words) ? words : said]);
    }
    expect(answers).toEqual(BAD);
    for (const [body, words] of BAD) expect(() => ours(`FROM scratch\n${body}\n`), body).toThrow(words);
  });
});

interface InspectedImage {
  readonly Config: ImageRunConfig;
  readonly ContainerConfig: { readonly Cmd: readonly string[] };
}

interface Fault {
  readonly message?: string;
  readonly error?: string;
}

/** The images of each stage's steps. */
function stagesOf(answer: string): readonly (readonly string[])[] {
  const messages = answer.trimEnd().split('\n');
  const transcript = messages.map((line) => (JSON.parse(line) as { readonly stream?: string }).stream ?? line).join('');
  const [, ...stages] = transcript.split(/Step \d+\/\d+ : FROM .*$/m);
  return stages.map((stage) => [...stage.matchAll(/^ ---> ([0-9a-f]{12})$/gm)].map(([, id = '']) => id));
}

/** The newest Docker tells of one more time in a health check. */
function asBefore(line: string): string {
  return line.replace(/ "0s" ('[^']*'\})$/, ' $1');
}
