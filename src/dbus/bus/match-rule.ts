import type { IncomingMessage } from './wire/message.ts';

/** Which signals are wanted. */
export interface MatchRule {
  readonly sender: string;
  readonly path?: string;
  readonly interface: string;
  readonly member: string;
  readonly arg0?: string;
}

/** The rule as the bus takes it. */
export function ruleText({ sender, path, interface: interfaceName, member, arg0 }: MatchRule): string {
  const parts = [`type='signal'`, `sender='${sender}'`, `interface='${interfaceName}'`, `member='${member}'`];
  if (path !== undefined) parts.push(`path='${path}'`);
  if (arg0 !== undefined) parts.push(`arg0='${arg0}'`);
  return parts.join(',');
}

/** The bus has checked the sender, whose unique name we may not know. */
export function matches(rule: MatchRule, message: IncomingMessage): boolean {
  return (
    message.interface === rule.interface &&
    message.member === rule.member &&
    (rule.path === undefined || rule.path === message.path) &&
    (rule.arg0 === undefined || rule.arg0 === message.body[0])
  );
}
