/** What is wrong with a Dockerfile, and where: Docker's words first, then file, line and cure. */
import { InvalidArgumentError } from '../../base/errors.ts';
import type { SourceLine } from './types.ts';

/** A fault of one line, before it is known what the file is called. */
export class LineFault extends Error {
  readonly line: number;
  /** Of the instruction; '': of none. */
  readonly keyword: string;

  constructor(line: number, cause: unknown, keyword = '') {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.line = line;
    this.keyword = keyword;
  }
}

/** Does `work`; what it says against the text is said of that line. */
export function atLine<T>(line: number, keyword: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof InvalidArgumentError ? new LineFault(line, error, keyword) : error;
  }
}

/** Where, as compilers have it: behind Docker's words, which clients match from the front. Without a file: nowhere. */
export function located(message: string, { file, start }: Pick<SourceLine, 'file' | 'start'>): string {
  return file === '' ? message : `${message} [${file}:${String(start)}]`;
}

/** How each instruction is written: the cure where its form is wrong. */
const FORMS: Readonly<Record<string, string>> = {
  add: 'ADD [--chown=<user>:<group>] <source>... <destination>',
  arg: 'ARG <name>[=<default>]',
  cmd: 'CMD ["program", "argument"]',
  copy: 'COPY [--from=<stage>] <source>... <destination>',
  entrypoint: 'ENTRYPOINT ["program", "argument"]',
  env: 'ENV <name>=<value>',
  expose: 'EXPOSE <port>[/tcp|/udp]',
  from: 'FROM [--platform=<platform>] <image> [AS <name>]',
  healthcheck: 'HEALTHCHECK [--interval=<time>] CMD <command>, or HEALTHCHECK NONE',
  label: 'LABEL <name>=<value>',
  maintainer: 'MAINTAINER <name>',
  onbuild: 'ONBUILD <instruction>',
  run: 'RUN <command>',
  shell: 'SHELL ["program", "argument"]',
  stopsignal: 'STOPSIGNAL <signal>',
  user: 'USER <user>[:<group>]',
  volume: 'VOLUME <directory>',
  workdir: 'WORKDIR <directory>',
};

/** Docker's message, and how the instruction is written where that is what was wrong. */
export function withForm(message: string, keyword: string): string {
  const form = FORMS[keyword];
  const isOfForm = /requires|must have two arguments|too many arguments|names can not be blank|Missing command/.test(
    message,
  );
  return form === undefined || !isOfForm ? message : `${message} (write: ${form})`;
}
