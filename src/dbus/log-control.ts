/** `systemctl service-log-level docker debug`: systemd's LogControl1. */
import { InvalidArgumentError } from '../base/errors.ts';
import type { ExportedObject } from './bus/exported.ts';

export const LOG_CONTROL_PATH = '/org/freedesktop/LogControl1';

/** systemd's words. */
export const LOG_LEVELS = ['emerg', 'alert', 'crit', 'err', 'warning', 'notice', 'info', 'debug'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** The daemon's log; the service hands it in. */
export interface LogControl {
  level(): LogLevel;
  setLevel(level: LogLevel): void;
  /** `journal`, `console`, `kmsg` … */
  readonly target: string;
  readonly identifier: string;
}

export function logControlObject(control: LogControl): ExportedObject {
  return {
    path: LOG_CONTROL_PATH,
    interfaces: [
      {
        name: 'org.freedesktop.LogControl1',
        methods: {},
        properties: () => ({
          LogLevel: control.level(),
          LogTarget: control.target,
          SyslogIdentifier: control.identifier,
        }),
        set: (_property, value) => {
          const level = LOG_LEVELS.find((word) => word === value);
          if (level === undefined) throw new InvalidArgumentError(`log levels are ${LOG_LEVELS.join(', ')}`);
          control.setLevel(level);
        },
      },
    ],
  };
}
