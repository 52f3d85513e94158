/** Docker's `container.Config` and the bodies around it. Field order is Go's: it is the order on the wire. */
import {
  bool,
  int,
  int64,
  keySet,
  map,
  omitEmpty,
  pointer,
  slice,
  stringOrSlice,
  struct,
  text,
  type ValueOf,
} from './go-struct.ts';
import { HOST_CONFIG } from './host-config.ts';
import { NETWORKING_CONFIG } from './networking-config.ts';

export const HEALTH_CONFIG = struct('container.HealthConfig', {
  Test: omitEmpty(slice(text)),
  Interval: omitEmpty(int64),
  Timeout: omitEmpty(int64),
  StartPeriod: omitEmpty(int64),
  StartInterval: omitEmpty(int64),
  Retries: omitEmpty(int),
});

const CONFIG_FIELDS = {
  Hostname: text,
  Domainname: text,
  User: text,
  AttachStdin: bool,
  AttachStdout: bool,
  AttachStderr: bool,
  ExposedPorts: omitEmpty(keySet('nat.PortSet')),
  Tty: bool,
  OpenStdin: bool,
  StdinOnce: bool,
  Env: slice(text),
  Cmd: stringOrSlice,
  Healthcheck: omitEmpty(pointer(HEALTH_CONFIG)),
  ArgsEscaped: omitEmpty(bool),
  Image: text,
  Volumes: keySet('map[string]struct {}'),
  WorkingDir: text,
  Entrypoint: stringOrSlice,
  NetworkDisabled: omitEmpty(bool),
  MacAddress: omitEmpty(text),
  OnBuild: slice(text),
  Labels: map(text),
  StopSignal: omitEmpty(text),
  StopTimeout: omitEmpty(pointer(int)),
  Shell: omitEmpty(stringOrSlice),
};

export const CONTAINER_CONFIG = struct('container.Config', CONFIG_FIELDS);
export type ContainerConfig = ValueOf<typeof CONTAINER_CONFIG>;
export const CONFIG_FIELD_NAMES: ReadonlySet<string> = new Set(Object.keys(CONFIG_FIELDS));

/** Body of `POST /containers/create`: the config's fields with two documents beside them. */
export const CREATE_REQUEST = struct('runconfig.ContainerConfigWrapper', {
  ...CONFIG_FIELDS,
  HostConfig: pointer(HOST_CONFIG),
  NetworkingConfig: pointer(NETWORKING_CONFIG),
});
export type CreateRequest = ValueOf<typeof CREATE_REQUEST>;
