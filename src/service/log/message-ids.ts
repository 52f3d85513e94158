/**
 * The stable messages of the engine log: MESSAGE_ID by name, as `journalctl MESSAGE_ID=…` finds them. Rooms give the
 * name as the field `message` of a line. An id never changes and is never given to another message; docs/journal.md
 * explains each.
 */
export const MESSAGE_IDS = {
  start: '5510b983ddd144acb3491249e9dfafbe',
  ready: 'c7baf0f5774f49cea0abfa2b0254a0d8',
  stop: 'b4f877886e53489da33dea28b868a04c',
  reload: '6aab53b28cd340fcb78923b7ff7dc924',
  'reload-failed': 'e7097e36b0da4353bf70d27d6ebe3ea9',
  'idle-exit': '0b3b200aa80041e29b16533435a120b2',
  'container-create': 'cfde39ccd13c4ab3980ecb7bcddde48e',
  'container-start': '9917a606a2784f43a04230a60a05f3b0',
  'container-die': '5880adf7354748d9a9e63f659aeb12dd',
  'container-oom': 'f33f68a9e41642dc884d7fe0aa189eed',
  'container-kill': '303d2af4837347a3bf06b72d7193e962',
  'container-stop': '00afb677c05b461daf5de22de42ae640',
  'container-restart': '58082f1e4a1743ab9433352157b21494',
  'container-pause': 'b7d1646103b64bc2beeae0404c1d10ff',
  'container-unpause': '88d32a2157c34a8a965eff51865a44b0',
  'container-rename': '4b3da85939a740fd8ab1d1863e4ce849',
  'container-destroy': '2cf9640b6e3740d28597d0dbf0868cdc',
  'container-health': '97da815aaf0a4077b52b52f34db9a551',
  'container-unhealthy-action': '4bd252bdd61643ed87bada525cf8636c',
  prune: '3f7b37abedb9400fb77ebdeb4b4270a3',
  'image-gc': '8e5a1c9649f64bfa86a0fc9a7e56a22a',
  'image-gc-remove': '94cacfc5be544b8fa27c0a9796dff23d',
  'image-gc-short': '4618f536f51e49efa6a29b0665106697',
  'store-damaged': 'cfb252c37b024c3cbfbd1fcbe5aa79ba',
  'store-repaired': '4f686f4599f4476b81489752db58cd78',
  'schedule-run': 'd97c8e317dda40df8a4b9edbfc1daec8',
  'schedule-failed': '64ff1f34514b405698170a5dfb99cd2e',
  'schedule-skipped': '1b1dab35459f43cc80d742238e009e0c',
  'config-written': '7c1c8efdd6c94c89b431b83f2d097e5d',
  'config-rolled-back': '7b91894ad7044b4ebc1e02d3ad799a83',
  'bus-lost': '5d9ec0034a12453f890e525e032140c1',
  'bus-back': 'd8b47ca8754b49e9b2ebd272cfd48cb3',
} as const satisfies Readonly<Record<string, string>>;

/** Name of a stable message. */
export type MessageName = keyof typeof MESSAGE_IDS;

/** The id behind a name; null for anything else. */
export function messageIdOf(name: unknown): string | null {
  return typeof name === 'string' && Object.hasOwn(MESSAGE_IDS, name) ? MESSAGE_IDS[name as MessageName] : null;
}
