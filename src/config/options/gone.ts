import type { OptionDefinition } from './definition.ts';

/** What dockerd had once. Refused with what took its place, so that old sysconfig files say what to change. */
export const GONE_OPTIONS = [
  {
    flag: 'api-cors-header',
    type: 'string',
    fallback: '',
    help: 'Removed in dockerd 29',
    refused: 'is not offered: dockerd 29 removed it. Set the header in a reverse proxy before the API',
  },
  {
    flag: 'cluster-advertise',
    type: 'string',
    fallback: '',
    help: 'Removed in dockerd 24',
    refused: 'is not offered: dockerd 24 removed it together with overlay networks on external key-value stores',
  },
  {
    flag: 'cluster-store',
    type: 'string',
    fallback: '',
    help: 'Removed in dockerd 24',
    refused: 'is not offered: dockerd 24 removed it together with overlay networks on external key-value stores',
  },
  {
    flag: 'cluster-store-opt',
    key: 'cluster-store-opts',
    type: 'map',
    fallback: {},
    help: 'Removed in dockerd 24',
    refused: 'is not offered: dockerd 24 removed it together with overlay networks on external key-value stores',
  },
  {
    flag: 'graph',
    short: 'g',
    type: 'string',
    fallback: '',
    help: 'Removed in dockerd 24: use --data-root',
    refused: 'is not offered: dockerd 24 removed it. Use --data-root (key data-root, variable DOCKER_DATA_ROOT)',
  },
  {
    flag: 'restart',
    short: 'r',
    key: null,
    type: 'boolean',
    fallback: true,
    help: 'Removed in dockerd 1.10',
    ignored: 'has no effect: give containers a restart policy (docker run --restart)',
  },
] as const satisfies readonly OptionDefinition[];
