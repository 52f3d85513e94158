/** `--security-opt`: what each word says. dockerd's rules and texts; what seccomp names is the runtime room's to read. */
import { InvalidArgumentError } from '../../../base/errors.ts';

/** What a container's security options come to; null: not said. */
export interface SecurityWishes {
  readonly apparmorProfile: string | null;
  readonly noNewPrivileges: boolean | null;
  readonly writableCgroups: boolean | null;
  /** Of SELinux: `disable`, `type:x`, `level:s0:c1,c2` … */
  readonly labels: readonly string[];
}

const TRUE = /^(1|t|T|TRUE|true|True)$/;
const FALSE = /^(0|f|F|FALSE|false|False)$/;

/** The last word on a matter counts. InvalidArgumentError for what is none. */
export function securityWishesOf(options: readonly string[]): SecurityWishes {
  const wishes = { apparmorProfile: null, noNewPrivileges: null, writableCgroups: null, labels: [] } as {
    -readonly [K in keyof SecurityWishes]: SecurityWishes[K];
  };
  for (const option of options) {
    const [key, value] = partsOf(option);
    switch (key) {
      case 'label':
        wishes.labels = [...wishes.labels, value];
        break;
      case 'apparmor':
        wishes.apparmorProfile = value;
        break;
      case 'seccomp':
        break;
      case 'no-new-privileges':
        wishes.noNewPrivileges = booleanOf(option, value);
        break;
      case 'writable-cgroups':
        wishes.writableCgroups = booleanOf(option, value);
        break;
      default:
        throw new InvalidArgumentError(`invalid --security-opt 2: ${JSON.stringify(option)}`);
    }
  }
  return wishes;
}

/** `key=value`, the older `key:value`, and the words that stand alone. */
function partsOf(option: string): readonly [string, string] {
  if (option === 'no-new-privileges' || option === 'writable-cgroups') return [option, 'true'];
  if (option === 'disable') return ['label', option];
  const separator = option.includes('=') ? '=' : ':';
  const cut = option.indexOf(separator);
  if (cut < 0) throw new InvalidArgumentError(`invalid --security-opt 1: ${JSON.stringify(option)}`);
  return [option.slice(0, cut), option.slice(cut + 1)];
}

function booleanOf(option: string, value: string): boolean {
  if (TRUE.test(value)) return true;
  if (FALSE.test(value)) return false;
  throw new InvalidArgumentError(`invalid --security-opt 2: ${JSON.stringify(option)}`);
}
