/** Linux's packing of a device number (glibc gnu_dev_major): 12 bits major, 20 bits minor. */
export function majorOf(device: number): number {
  return Math.floor(device / 256) & 0xfff;
}

export function minorOf(device: number): number {
  return (device & 0xff) + ((Math.floor(device / 2 ** 12) >>> 0) & 0xfff00);
}
