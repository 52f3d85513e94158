import { existsSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { InvalidArgumentError, UnavailableError } from '../../src/base/errors.ts';
import { makeContexts, type TestContexts } from '../support/build-contexts.ts';
import { makeRepository, serveRepositories, type TestRepository } from '../support/git-daemon.ts';

const shared: {
  made: TestContexts | null;
  server: Awaited<ReturnType<typeof serveRepositories>> | null;
  repository: TestRepository | null;
  old: string;
} = { made: null, server: null, repository: null, old: '' };

beforeAll(async () => {
  const made = makeContexts();
  shared.made = made;
  const repositories = join(made.scratch, 'repositories');
  const repository = makeRepository(join(repositories, 'app'));
  shared.repository = repository;
  shared.server = await serveRepositories(repositories);
  shared.old = repository.commit({
    Dockerfile: 'FROM scratch\n# one\n',
    'docker/Dockerfile': 'FROM scratch\n# below\n',
  });
  repository.git('tag', 'v1');
  repository.commit({ Dockerfile: 'FROM scratch\n# two\n', '.dockerignore': '*.md\n', 'a.md': 'x', b: 'x' });
  symlinkSync('../../../../etc', join(repository.path, 'out'));
  symlinkSync('docker', join(repository.path, 'way'));
  repository.commit({});
  repository.git('branch', 'other');
});

afterAll(async () => {
  await shared.server?.[Symbol.asyncDispose]();
  shared.made?.[Symbol.dispose]();
});

function address(fragment = ''): string {
  return `git://127.0.0.1:${String(shared.server?.port)}/app${fragment}`;
}

function contexts(): TestContexts {
  if (shared.made === null) throw new Error('not made');
  return shared.made;
}

describe('a context from a git repository', () => {
  it('is its newest commit, without what its list leaves out and its own records', async () => {
    await using context = await contexts().open({ kind: 'remote', address: address() });
    expect((await context.dockerfile('Dockerfile')).text).toBe('FROM scratch\n# two\n');
    expect(readdirSync(context.root).sort()).toEqual(['.dockerignore', 'Dockerfile', 'b', 'docker', 'out', 'way']);
  });

  it.each([
    ['#v1', 'one'],
    ['#other', 'two'],
    ['#refs/tags/v1', 'one'],
    ['#:docker', 'below'],
    ['#v1:docker', 'below'],
    ['#main:/docker/', 'below'],
    ['#other:way', 'below'],
  ])('%s is %s', async (fragment, words) => {
    await using context = await contexts().open({ kind: 'remote', address: address(fragment) });
    expect((await context.dockerfile('Dockerfile')).text).toContain(`# ${words}`);
  });

  it('is a commit that no branch ends with', async () => {
    await using context = await contexts().open({ kind: 'remote', address: address(`#${shared.old}`) });
    expect((await context.dockerfile('Dockerfile')).text).toContain('# one');
  });

  it.each([
    ['#nothing', 'error fetching: '],
    ['#--upload-pack=touch x', 'invalid refspec: --upload-pack=touch x'],
    ['#:none', 'error setting git context, "none" not within git root'],
    ['#other:out', 'error setting git context, "out" not within git root'],
    ['#:b', 'error setting git context, not a directory: b'],
    ['none', 'error fetching: '],
  ])('%s is refused', async (fragment, words) => {
    const error: unknown = await contexts()
      .open({ kind: 'remote', address: address(fragment) })
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(InvalidArgumentError);
    expect(String(error)).toContain(words);
    expect(contexts().left()).toEqual([]);
  });

  it.each(['git@-oProxyCommand=x:y', 'ssh://-oProxyCommand=x/y', 'git://a\nb/c', 'git@host'])(
    '%j is no address',
    async (given) => {
      await expect(contexts().open({ kind: 'remote', address: given })).rejects.toThrow(
        'invalid git repository address',
      );
    },
  );

  it('runs nothing that it brings: no hook, no filter, no repository of this host', async () => {
    const made = contexts();
    const mark = join(made.scratch, 'mark');
    const sly = makeRepository(join(made.scratch, 'repositories/sly'));
    const private_ = makeRepository(join(made.scratch, 'private'));
    private_.commit({ secret: 'x' });
    sly.commit({
      Dockerfile: 'FROM scratch\n',
      '.gitattributes': '* filter=evil\n',
      '.gitconfig': `[filter "evil"]\n\tsmudge = touch ${mark}\n`,
      '.githooks/post-checkout': `#!/bin/sh\ntouch ${mark}\n`,
    });
    sly.git('-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'add', private_.path, 'sub');
    sly.commit({});
    const opening = made.open({ kind: 'remote', address: address().replace('/app', '/sly') });
    await expect(opening).rejects.toThrow(/error initializing submodules: [^]*transport 'file' not allowed/);
    expect(existsSync(mark)).toBe(false);
    expect(made.left()).toEqual([]);
  });

  it('brings the repositories that are in it', async () => {
    const made = contexts();
    makeRepository(join(made.scratch, 'repositories/part')).commit({ 'deep/file': 'of a part' });
    const whole = makeRepository(join(made.scratch, 'repositories/whole'));
    whole.commit({ Dockerfile: 'FROM scratch\n' });
    whole.git('submodule', '--quiet', 'add', address().replace('/app', '/part'), 'part');
    whole.commit({});
    await using context = await made.open({ kind: 'remote', address: address().replace('/app', '/whole') });
    expect(existsSync(join(context.root, 'part/deep/file'))).toBe(true);
  });

  it('needs the program', async () => {
    const made = makeContexts();
    onTestFinished(() => made[Symbol.dispose]());
    made.hasGit = false;
    const opening = made.open({ kind: 'remote', address: 'https://u:secret@git.test/x.git' });
    await expect(opening).rejects.toThrow(
      new UnavailableError(
        'unable to fetch https://u:xxxxx@git.test/x.git: the program git is not installed: install the package git',
      ),
    );
  });

  it('ends when it is told to', async () => {
    const stop = new AbortController();
    const opening = contexts().open({ kind: 'remote', address: address() }, { signal: stop.signal });
    stop.abort(new Error('cancelled'));
    await expect(opening).rejects.toThrow('cancelled');
    expect(contexts().left()).toEqual([]);
  });
});
