import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { framesOf, TestApi } from '../../support/api-server.ts';
import { REUSED_OUTPUT, reusingAttachment } from '../../support/reusing-source.ts';

describe('output whose source uses its buffer again at once', () => {
  it.each([true, false])('comes through a connection taken over (terminal: %s)', async (terminal) => {
    await using api = await TestApi.start();
    const id = await api.create(['cat']);
    api.engine.containers.attach = async () => reusingAttachment(terminal);
    const peer = await api.open();
    peer.send(
      `POST /v1.51/containers/${id}/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n`,
    );
    await peer.ended();
    const body = peer.bytes.subarray(peer.bytes.indexOf('\r\n\r\n') + 4);
    const text = terminal
      ? body.toString('latin1')
      : framesOf(body)
          .map((frame) => frame.text)
          .join('');
    expect(text === REUSED_OUTPUT.toString('latin1')).toBe(true);
  });

  it('comes through a WebSocket', async () => {
    await using api = await TestApi.start();
    const id = await api.create(['cat']);
    api.engine.containers.attach = async () => reusingAttachment(false);
    const socket = new WebSocket(`ws+unix://${api.socketPath}:/v1.51/containers/${id}/attach/ws?stream=1&stdout=1`);
    const messages: Buffer[] = [];
    socket.on('message', (message: Buffer) => messages.push(message));
    await new Promise((resolve) => {
      socket.once('close', resolve);
    });
    expect(Buffer.concat(messages).equals(REUSED_OUTPUT)).toBe(true);
  });
});
