/** The profile of ordinary containers: what Docker documents of its own under the same name, so that both read alike. */
export const DEFAULT_PROFILE_NAME = 'docker-default';

/** apparmor.d(5). The distribution's abstractions are included only where it has them. */
export function profileText(host: { readonly hasTunables: boolean; readonly hasBase: boolean }): string {
  return `${host.hasTunables ? '#include <tunables/global>' : '@{PROC}=/proc/'}

profile ${DEFAULT_PROFILE_NAME} flags=(attach_disconnected,mediate_deleted) {
${host.hasBase ? '  #include <abstractions/base>\n' : ''}
  network,
  capability,
  file,
  umount,

  # A process outside, the engine's or runtime's, may signal those inside; these may signal each other.
  signal (receive) peer=unconfined,
  signal (receive) peer=runc,
  signal (receive) peer=crun,
  signal (send,receive) peer=${DEFAULT_PROFILE_NAME},

  # Nothing below /proc but of processes, and no kernel parameters but of the container's own namespaces.
  deny @{PROC}/* w,
  deny @{PROC}/{[^1-9],[^1-9][^0-9],[^1-9s][^0-9y][^0-9s],[^1-9][^0-9][^0-9][^0-9/]*}/** w,
  deny @{PROC}/sys/[^k]** w,
  deny @{PROC}/sys/kernel/{?,??,[^s][^h][^m]**} w,
  deny @{PROC}/sysrq-trigger rwklx,
  deny @{PROC}/kcore rwklx,

  deny mount,

  deny /sys/[^f]*/** wklx,
  deny /sys/f[^s]*/** wklx,
  deny /sys/fs/[^c]*/** wklx,
  deny /sys/fs/c[^g]*/** wklx,
  deny /sys/fs/cg[^r]*/** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,
  deny /sys/kernel/security/** rwklx,

  ptrace (trace,read,tracedby,readby) peer=${DEFAULT_PROFILE_NAME},
}
`;
}
