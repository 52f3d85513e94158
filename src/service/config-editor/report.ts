import type { ConfigProblem } from '../../config/config.ts';
import type { Verdict } from '../../config/validate.ts';
import type { ConfigProblemReport } from '../../dbus/config-port.ts';

/** A problem as the bus tells it: place and cure are part of the text. */
export function reportOf({ subject, severity, code, file, line, text, cure }: ConfigProblem): ConfigProblemReport {
  const place = file === null ? '' : line === null ? `${file}: ` : `${file}:${String(line)}: `;
  return {
    key: subject,
    severity,
    code: code ?? 'invalid-config',
    text: `${place}${text}${cure === '' ? '' : `. ${cure}`}`,
  };
}

/** Why a change is refused: dockerd's text where the daemon would not start, else what is wrong with the keys. */
export function refusalText({ config, refusal }: Verdict, objections: readonly ConfigProblem[]): string {
  if (config === null) return refusal ?? 'the configuration cannot be used';
  return objections.map(({ subject, text, cure }) => `${subject}: ${text}${cure === '' ? '' : `. ${cure}`}`).join('; ');
}
