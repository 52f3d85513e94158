import dbus from 'dbus-next';
export const one = dbus;
