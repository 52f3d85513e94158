/** The log's levels in systemd's words, for `systemctl service-log-level`. */
import type { LogControl as BusLogControl, LogLevel as BusLevel } from '../../dbus/index.ts';
import type { LogControl, LogLevel } from '../log.ts';

/** SyslogIdentifier of docker.service. */
const IDENTIFIER = 'docker';

const TO_BUS: Readonly<Record<LogLevel, BusLevel>> = {
  trace: 'debug',
  debug: 'debug',
  info: 'info',
  warn: 'warning',
  error: 'err',
  fatal: 'crit',
  panic: 'emerg',
};

const FROM_BUS: Readonly<Record<BusLevel, LogLevel>> = {
  emerg: 'panic',
  alert: 'panic',
  crit: 'fatal',
  err: 'error',
  warning: 'warn',
  notice: 'info',
  info: 'info',
  debug: 'debug',
};

export function busLogControl(control: LogControl): BusLogControl {
  return {
    level: () => TO_BUS[control.level()],
    setLevel: (level) => control.setLevel(FROM_BUS[level]),
    get target() {
      return control.target();
    },
    identifier: IDENTIFIER,
  };
}
