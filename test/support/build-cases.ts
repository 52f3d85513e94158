/** Dockerfiles with their contexts: what a real dockerd makes of each is what we make of it. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** A file's text; or what else it is. */
export type ContextEntry =
  | string
  | { readonly text: string; readonly mode: number }
  | { readonly link: string }
  /** A tar, compressed or not, of these files. */
  | { readonly tar: Readonly<Record<string, string>>; readonly flag: '' | 'z' | 'j' | 'J' };

export interface BuildCase {
  readonly name: string;
  readonly dockerfile: string;
  readonly context?: Readonly<Record<string, ContextEntry>>;
  readonly flags?: readonly string[];
  /** Of the whole output: it differs from dockerd 20.10 as Docker 28 does; what we say instead. */
  readonly says?: RegExp;
}

/** Contexts have no time of their own: a file from before is kept as it was by both. */
const LONG_AGO = new Date('2001-02-03T04:05:06Z');

/** Writes a case's context below `directory`. */
export function writeContext(directory: string, { dockerfile, context = {} }: BuildCase): void {
  mkdirSync(directory, { recursive: true });
  for (const [path, entry] of Object.entries({ Dockerfile: dockerfile, ...context })) {
    const target = join(directory, path);
    mkdirSync(path.endsWith('/') ? target : dirname(target), { recursive: true });
    if (!path.endsWith('/')) writeEntry(target, entry);
  }
  for (const path of Object.keys(context)) {
    for (let at = path; at !== '.'; at = dirname(at)) {
      const target = join(directory, at);
      spawnSync('touch', ['-h', '-d', LONG_AGO.toISOString(), target]);
    }
  }
}

function writeEntry(target: string, entry: ContextEntry): void {
  if (typeof entry === 'string') writeFileSync(target, entry, { mode: 0o644 });
  else if ('link' in entry) symlinkSync(entry.link, target);
  else if ('tar' in entry) writeTar(target, entry);
  else {
    writeFileSync(target, entry.text);
    chmodSync(target, entry.mode);
  }
}

function writeTar(target: string, { tar, flag }: Extract<ContextEntry, { readonly tar: unknown }>): void {
  const source = `${target}.d`;
  for (const [path, text] of Object.entries(tar)) {
    mkdirSync(dirname(join(source, path)), { recursive: true });
    writeFileSync(join(source, path), text);
    utimesSync(join(source, path), LONG_AGO, LONG_AGO);
  }
  spawnSync('tar', [`-c${flag}f`, target, '-C', source, '--owner=7', '--group=8', ...Object.keys(tar)]);
  spawnSync('rm', ['-r', source]);
}

const TREE = {
  'a/one': '1',
  'a/deep/two': '22',
  'a/deep/.hidden': 'h',
  'b.txt': 'b',
  'c.txt': 'cc',
  'a/run.sh': { text: '#!/bin/sh\n', mode: 0o755 },
};

export const BUILD_CASES: readonly BuildCase[] = [
  {
    name: 'what goes into the configuration',
    dockerfile: `FROM busybox
MAINTAINER somebody <a@b>
ENV A=b C="d e" F=g\\ h
ENV OLD style value
LABEL l=x "m n"="o p"
EXPOSE 80 443/udp 8000-8002
VOLUME /v1 /v2
VOLUME ["/v3"]
USER nobody:nogroup
WORKDIR /w
WORKDIR sub
STOPSIGNAL SIGUSR1
HEALTHCHECK --interval=5s --timeout=3s --retries=2 CMD test -e /x
SHELL ["/bin/sh", "-ec"]
ONBUILD RUN echo later
ENTRYPOINT ["/bin/sh", "-c"]
CMD ["echo", "hi"]
`,
  },
  {
    name: 'the shell forms, and the command that an entrypoint resets',
    dockerfile: 'FROM busybox\nCMD echo first\nENTRYPOINT echo $HOME\nCMD echo "second"\nHEALTHCHECK NONE\n',
  },
  {
    name: 'values of ENV in instructions',
    dockerfile: `FROM busybox
ENV D=/dir E=\${D}/e U=\${N:-none} P=\${D:+set} Q='$D' R="\\$D"
WORKDIR $E
LABEL d=$D e="\${E}x" f='\${E}'
COPY b.txt \${D}/
USER \${X:-root}
`,
    context: TREE,
  },
  {
    name: 'a RUN with what it prints and leaves',
    dockerfile: `FROM busybox
RUN echo err >&2; mkdir -p /made/deep; echo x > /made/file; chmod 640 /made/file; ln -s file /made/link; chown 1:2 /made/deep
RUN ["/bin/sh", "-c", "rm /made/file; touch /made/new"]
RUN rm -r /made/deep && mkdir /made/deep && touch /made/deep/again
`,
  },
  {
    name: 'a RUN as another user, elsewhere, with an environment',
    dockerfile:
      'FROM busybox\nENV A=1\nWORKDIR /tmp\nUSER nobody\nRUN id -u; pwd; echo $A; env | grep -c HOSTNAME; touch mine\n',
  },
  {
    name: 'a RUN that fails',
    dockerfile: 'FROM busybox\nRUN echo before; exit 7\nRUN echo never\n',
  },
  {
    name: 'a RUN of a program that is not there',
    dockerfile: 'FROM busybox\nRUN ["/nosuch", "a"]\n',
    says: /exec: "\/nosuch": stat \/nosuch: no such file or directory|no such file or directory/,
  },
  {
    name: 'COPY of files, to a file, to a directory, to what is not there',
    dockerfile:
      'FROM busybox\nCOPY b.txt /to\nCOPY b.txt /dir/\nCOPY b.txt c.txt /deep/er/\nCOPY a/run.sh /usr/bin/\nWORKDIR /w\nCOPY b.txt .\nCOPY b.txt ./sub/name\n',
    context: TREE,
  },
  {
    name: 'COPY of directories: what is in them',
    dockerfile: 'FROM busybox\nCOPY a /x\nCOPY a/ /y/\nCOPY a a/deep /z/\nCOPY . /all\n',
    context: TREE,
  },
  {
    name: 'COPY by patterns',
    dockerfile: 'FROM busybox\nCOPY *.txt /t/\nCOPY ?.t[wx]t a/o* /u/\nCOPY ["b.txt", "/v space/"]\n',
    context: TREE,
  },
  {
    name: 'COPY of links and onto links',
    dockerfile:
      'FROM busybox\nRUN mkdir -p /real && ln -s /real /alias && ln -s ../../../real /etc/up\nCOPY b.txt /alias/\nCOPY b.txt /etc/up/two\nCOPY links /links\nCOPY tofile /resolved\n',
    context: { ...TREE, 'links/l': { link: 'target' }, 'links/target': 't', tofile: { link: 'b.txt' } },
  },
  {
    name: 'COPY to owners by name and number',
    dockerfile:
      'FROM busybox\nCOPY --chown=nobody b.txt /n\nCOPY --chown=1:wheel a /m\nCOPY --chown=12:34 b.txt /new/dir/\nRUN stat -c "%n %a %u:%g" /n /m /m/* /new /new/dir\n',
    context: TREE,
  },
  {
    name: 'COPY over what is there',
    dockerfile:
      'FROM busybox\nRUN mkdir -m 700 /d && chown 5:6 /d && echo old > /d/one && chmod 600 /d/one\nCOPY a /d\nRUN stat -c "%n %a %u:%g" /d /d/*\n',
    context: TREE,
  },
  {
    name: 'COPY from a stage by name and number, with its owners',
    dockerfile:
      'FROM busybox AS first\nRUN mkdir /o && echo x > /o/f && chown 9:9 /o/f && chmod 4711 /o/f\nFROM busybox\nCOPY --from=first /o /p\nCOPY --from=0 /o/f /q\n',
  },
  {
    name: 'COPY from an image',
    dockerfile: 'FROM busybox\nCOPY --from=busybox:latest /etc/passwd /copied\n',
  },
  {
    name: 'COPY of what is not there',
    dockerfile: 'FROM busybox\nCOPY nosuch /\n',
    says: /COPY failed: file not found in build context or excluded by \.dockerignore: stat nosuch: file does not exist/,
  },
  { name: 'COPY of a pattern that nothing matches', dockerfile: 'FROM busybox\nCOPY no* /d/\n' },
  { name: 'COPY of many to what is no directory', dockerfile: 'FROM busybox\nCOPY b.txt c.txt /x\n', context: TREE },
  { name: 'COPY out of the context', dockerfile: 'FROM busybox\nCOPY ../../etc/passwd /x\n' },
  {
    name: 'ADD of archives and files',
    dockerfile: 'FROM busybox\nADD plain.tar /p/\nADD z.tgz /z\nADD b.tbz /b/\nADD x.txz /x/\nADD b.txt /f\n',
    context: {
      ...TREE,
      'plain.tar': { tar: { f: '1', 'd/g': '2' }, flag: '' },
      'z.tgz': { tar: { f: '3' }, flag: 'z' },
      'b.tbz': { tar: { f: '4' }, flag: 'j' },
      'x.txz': { tar: { f: '5' }, flag: 'J' },
    },
  },
  {
    name: 'what is ignored',
    dockerfile: 'FROM busybox\nCOPY . /c\nRUN find /c | sort\n',
    context: { ...TREE, '.dockerignore': '# no\n*.txt\n!c.txt\n**/.hidden\na/deep/two\nDockerfile\n' },
  },
  {
    name: 'args: global, of a stage, given, with defaults',
    dockerfile: `ARG BASE=busybox
ARG TAG=latest
FROM \${BASE}:\${TAG}
ARG TAG
ARG A=default
ARG B
RUN echo $TAG $A $B
ENV A=env
RUN echo $A
LABEL tag=$TAG b=$B
`,
    flags: ['--build-arg', 'B=given', '--build-arg', 'A=told'],
  },
  {
    name: 'an arg that nobody asks for',
    dockerfile: 'FROM busybox\nRUN true\n',
    flags: ['--build-arg', 'NOBODY=x', '--build-arg', 'HTTP_PROXY=http://p'],
  },
  {
    name: 'predefined args',
    dockerfile: 'FROM busybox\nRUN echo $HTTP_PROXY $no_proxy\n',
    flags: ['--build-arg', 'HTTP_PROXY=http://p:1', '--build-arg', 'no_proxy=a'],
  },
  {
    name: 'a target, and stages on stages',
    dockerfile: 'FROM busybox AS base\nRUN echo base > /b\nFROM base AS mid\nRUN echo mid >> /b\nFROM mid\nRUN false\n',
    flags: ['--target', 'mid'],
  },
  {
    name: 'labels of the command line',
    dockerfile: 'FROM busybox\nLABEL own=1\n',
    flags: ['--label', 'given=2', '--label', 'own=3'],
  },
  {
    name: 'directives and comments',
    dockerfile: '# escape=`\n# a comment\nFROM busybox\nRUN echo a`\n  # in between\n  b\nENV P=c:\\x\n',
  },
  {
    name: 'lines that go on',
    says: /Empty continuation line found in: RUN echo a/,
    dockerfile: 'FROM busybox\nRUN echo a \\\n\n  && echo b \\\n  # no\n  && echo c\n',
  },
  { name: 'scratch with files alone', dockerfile: 'FROM scratch\nCOPY b.txt /\nCMD ["/b.txt"]\n', context: TREE },
  {
    name: 'a Dockerfile elsewhere',
    dockerfile: 'FROM nothing\n',
    context: { 'sub/Other': 'FROM busybox\nCOPY sub/Other /o\n' },
    flags: ['-f', 'CONTEXT/sub/Other'],
  },
  {
    name: 'an instruction that is none',
    says: /dockerfile parse error on line 2: unknown instruction: FRO .*\[Dockerfile:2\]/,
    dockerfile: 'FROM busybox\nFRO x\n',
  },
  { name: 'no FROM', says: /no build stage in current context/, dockerfile: 'RUN true\n' },
  {
    name: 'a stage that is none',
    says: /target stage \"nosuch\" could not be found/,
    dockerfile: 'FROM busybox\n',
    flags: ['--target', 'nosuch'],
  },
  { name: 'ENV without a value', says: /ENV must have two arguments/, dockerfile: 'FROM busybox\nENV A\n' },
  {
    name: 'COPY with one word',
    says: /parse error on line 2: COPY requires at least two arguments, but only one was provided\. Destination could not be determined/,
    dockerfile: 'FROM busybox\nCOPY a\n',
  },
  {
    name: 'an unknown flag',
    says: /parse error on line 2: unknown flag: --nosuch/,
    dockerfile: 'FROM busybox\nCOPY --nosuch=1 a /\n',
  },
  {
    name: 'EXPOSE of what is no port',
    says: /invalid containerPort: eighty/,
    dockerfile: 'FROM busybox\nEXPOSE eighty\n',
  },
  { name: 'a signal that is none', says: /invalid signal: SIGNONE/, dockerfile: 'FROM busybox\nSTOPSIGNAL SIGNONE\n' },
  {
    name: 'ONBUILD of ONBUILD',
    says: /parse error on line 2: Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed/,
    dockerfile: 'FROM busybox\nONBUILD ONBUILD RUN true\n',
  },
  {
    name: 'a user that is none',
    dockerfile: 'FROM busybox\nUSER nosuch\nRUN true\n',
    says: /unable to find user nosuch/,
  },
  { name: 'an owner that is none', dockerfile: 'FROM busybox\nCOPY --chown=nosuch b.txt /\n', context: TREE },
  {
    name: 'a program built in one stage for an empty one',
    dockerfile: `ARG BASE
FROM \${BASE:-busybox} AS build
WORKDIR /src
COPY go.mod go.su[m] ./
COPY . .
ARG VERSION=dev
ENV FLAGS="-s -w"
RUN set -e; \\
    # what is said in between
    cat main.go pkg/a/a.go > /out; chmod 755 /out; \\
    echo "$VERSION $FLAGS"

FROM scratch
COPY --from=build /out /app
USER 65532:65532
ENTRYPOINT ["/app"]
CMD ["--help"]
`,
    context: { 'go.mod': 'module x\n', 'main.go': 'package main\n', 'pkg/a/a.go': 'package a\n' },
    flags: ['--build-arg', 'VERSION=1.2'],
  },
  {
    name: 'a file of another system: a mark of its bytes, ends of its lines, its own escape',
    dockerfile:
      '\uFEFF# escape=`\r\nFROM busybox\r\nRUN echo a `\r\n  && echo b\r\nENV A=x`"y B="c:\\d"\r\nCOPY b.txt C:\\x\\\r\nCMD ["sh"]\r\n',
    context: TREE,
  },
  {
    name: 'another shell, for all that has one',
    dockerfile:
      'FROM busybox\nSHELL ["/bin/sh", "-o", "pipefail", "-c"]\nENTRYPOINT exec top -b\nCMD echo hi\nHEALTHCHECK CMD true\nONBUILD RUN x\nRUN false | true\n',
  },
  {
    name: 'lists that are none, and empty ones',
    dockerfile: "FROM busybox\nRUN [ -d / ] && echo is one\nCMD ['single', 'quotes']\nENTRYPOINT []\n",
  },
  {
    name: 'WORKDIR after WORKDIR, and COPY from there',
    dockerfile:
      'FROM busybox\nENV D=/a\nWORKDIR $D/b\nWORKDIR ../c\nWORKDIR ./d/\nCOPY b.txt ..\nCOPY b.txt ../../r.txt\nCOPY ./a/../b.txt b2\nCOPY /b.txt ../../../x/\nWORKDIR "/with space"\nRUN pwd\n',
    context: TREE,
  },
  {
    name: 'what is ignored but for exceptions',
    dockerfile: 'FROM busybox\nCOPY . /c\n',
    context: {
      '.dockerignore': '*\n!src\nsrc/**/*.log\n!src/keep.log\n!pack*.json\n**/tmp/\n  !spaced  \n',
      'src/a': 'a',
      'src/x.log': 'x',
      'src/d/y.log': 'y',
      'src/keep.log': 'k',
      'src/tmp/t': 't',
      'package.json': 'p',
      'pack/age': 'n',
      spaced: 's',
      other: 'o',
    },
  },
  {
    name: 'squash: what is removed and replaced',
    dockerfile:
      'FROM busybox\nRUN mkdir /d /e && touch -d @1 /d/a /e/x && echo 2 > /d/b && ln /d/b /d/l && ln -s b /d/s && echo x > /top\n' +
      'ENV A=b\nCOPY b.txt /d/b\nRUN rm -r /d/a /top /e /etc/group && mkdir /e && echo y > /e/y && chmod 700 /d && chown 7:8 /d/b\n',
    context: TREE,
    flags: ['--squash'],
  },
  {
    name: 'squash: from nothing, and of a stage on another',
    dockerfile:
      'FROM scratch AS one\nCOPY b.txt /a/\nCOPY b.txt /b\nFROM one\nCOPY b.txt /a/c\nCOPY b.txt /d\nCMD ["x"]\n',
    context: TREE,
    flags: ['--squash'],
  },
  {
    name: 'squash: from nothing',
    dockerfile: 'FROM scratch\nCOPY b.txt /e/\nCOPY b.txt /f\n',
    context: TREE,
    flags: ['--squash'],
  },
  { name: 'empty continuation and heredoc-like words', dockerfile: 'FROM busybox\nRUN echo \'<<EOF\' "a  b"\n' },
];
