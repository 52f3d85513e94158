/** Entry of the thread that ships container logs: gives the logging room's pump its sinks, and steps back in the queue. */
import { parentPort } from 'node:worker_threads';
import { SystemClock } from '../base/clock.ts';
import { InternalError } from '../base/errors.ts';
import { createSocketCalls } from '../engine/kernel/linux/sockets.ts';
import { linuxThreads } from '../engine/kernel/linux/threads.ts';
import { openFluentdSink, type FluentdSpec } from '../engine/logging/fluentd/sink.ts';
import { openGelfSink, type GelfSpec } from '../engine/logging/gelf/sink.ts';
import { openJournaldSink, type JournaldSpec } from '../engine/logging/journald/sink.ts';
import { openJsonFileSink, type JsonFileSpec } from '../engine/logging/json-file/sink.ts';
import { servePump } from '../engine/logging/pump/pump-loop.ts';
import type { LogSink, SinkSpec } from '../engine/logging/sink.ts';
import { openSyslogSink, type SyslogSpec } from '../engine/logging/syslog/sink.ts';

const clock = new SystemClock();
/** Containers and their clients go first. */
const NICE = 19;

if (parentPort === null) throw new Error('log-pump-worker runs as a worker thread only');
linuxThreads.setNice(NICE);
servePump(parentPort, { clock, openSink });

function openSink(spec: SinkSpec, mark: string): LogSink {
  const ground = { kernel: { sockets: createSocketCalls() }, clock };
  switch (spec.kind) {
    case 'json-file':
      return openJsonFileSink(spec as JsonFileSpec, mark);
    case 'syslog':
      return openSyslogSink(spec as SyslogSpec, ground);
    case 'gelf':
      return openGelfSink(spec as GelfSpec, clock);
    case 'fluentd':
      return openFluentdSink(spec as FluentdSpec, clock);
    case 'journald':
      return openJournaldSink(spec as JournaldSpec, ground);
    default:
      throw new InternalError(`no log sink named '${spec.kind}'`);
  }
}
