import { describe, expect, it } from 'vitest';
import { REUSED_OUTPUT, reusingAttachment } from '../../../support/reusing-source.ts';
import { MirrorFixture, NO_OPTIONS } from './fixture.ts';

describe('output whose source uses its buffer again at once', () => {
  it('comes through an attach', async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.run(['cat'], { terminal: true });
    fixture.engine.containers.attach = async () => reusingAttachment(true);
    const peer = await fixture.open(path, 'Attach', NO_OPTIONS);
    await peer.ended;
    expect(peer.bytes.equals(REUSED_OUTPUT)).toBe(true);
  });

  it('comes through a capture, its first part', async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.run();
    const startExec = fixture.engine.containers.startExec.bind(fixture.engine.containers);
    fixture.engine.containers.startExec = async (id) => {
      const { terminal, run } = await startExec(id);
      const loud: typeof run = async (client) => {
        await run(client);
        await reusingAttachment(terminal).run(client);
      };
      return { terminal, run: loud };
    };
    const [, stdout] = await fixture.call(path, 'ExecCapture', ['true'], NO_OPTIONS);
    expect((stdout as Buffer).equals(REUSED_OUTPUT.subarray(0, 1024 * 1024))).toBe(true);
  });
});
