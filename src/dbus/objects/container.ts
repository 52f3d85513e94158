/**
 * Containers and their execs as objects. There is one for each as long as the engine has it: the mirror listens where the
 * engine tells of changes at once, so the tree is right before the verb that changed something returns.
 */
import { messageOf } from '../../base/errors.ts';
import type { ContainerId, ExecId } from '../../base/ids.ts';
import type { ContainerChange, ContainerView, EngineEvent } from '../../engine/index.ts';
import { detailsOfContainer } from '../words/container-details.ts';
import type { ExportedInterface, MethodHandler, Variant } from '../bus/exported.ts';
import { imagePath, interfaceName, pathOf } from '../names.ts';
import { attachMethods } from './container/attach.ts';
import { execMethods } from './container/execs.ts';
import { factMethods } from './container/facts.ts';
import { lifecycleMethods } from './container/lifecycle.ts';
import { logMethods } from './container/logs.ts';
import type { ContainerParts, Subject } from './container/parts.ts';
import { propertiesOf } from './container/properties.ts';
import { treeMethods } from './container/tree.ts';
import { usageMethods } from './container/usage.ts';
import { fileMethods } from './container/files.ts';
import { updateMethods } from './container/update.ts';
import { detailsOfExec, ExecInterface } from './exec.ts';

/** Puts every container and exec into the tree and keeps them there as they are, until disposed. */
export function mirrorContainers(parts: ContainerParts): Disposable {
  return new ContainerMirror(parts);
}

type Methods = Readonly<Record<string, MethodHandler>>;

class ContainerMirror implements Disposable {
  readonly #parts: ContainerParts;
  readonly #execs = new Map<ContainerId, Map<ExecId, ExecInterface>>();
  /** Paths of the images that containers were made from; images are asked for once, and when images change. */
  readonly #imagePaths = new Map<ContainerView['imageId'], string>();
  readonly #sizes = new Map<ContainerId, number>();
  readonly #watching = new DisposableStack();
  #lastMade: { readonly subject: Subject; readonly methods: Methods } | null = null;

  constructor(parts: ContainerParts) {
    this.#parts = parts;
    const { containers, events } = parts.engine;
    for (const { id, execIds } of containers.list()) {
      this.#add(id);
      for (const execId of execIds) this.#addExec(id, execId);
    }
    this.#watching.use(containers.watch((change) => this.#onChange(change)));
    this.#watching.use(events.listen((event) => this.#onEvent(event)));
  }

  [Symbol.dispose](): void {
    this.#watching.dispose();
  }

  #onChange(change: ContainerChange): void {
    switch (change.kind) {
      case 'added':
        return this.#add(change.containerId);
      case 'changed':
        return this.#parts.tree.changed(pathOf('container', change.containerId));
      case 'removed':
        return this.#remove(change.containerId);
      case 'exec-added':
        return this.#addExec(change.containerId, change.execId);
      case 'exec-changed':
        return this.#execs.get(change.containerId)?.get(change.execId)?.changed();
      case 'exec-removed':
        return this.#removeExec(change.containerId, change.execId);
    }
  }

  #onEvent({ type, action, actorId }: EngineEvent): void {
    if (type === 'container' && action === 'die') this.#tellOfExit(actorId as ContainerId);
    if (type === 'container' && action.startsWith('health_status: ')) this.#tellOfHealth(actorId as ContainerId);
    // Pulls and removals of images are rare: one look at all containers then is cheap.
    if (type === 'image') this.#lookForImages();
  }

  #tellOfExit(id: ContainerId): void {
    const { state } = this.#parts.engine.containers.get(id);
    if (state.status === 'created' || state.lastExit === null) return;
    const { exitCode, oomKilled, error } = state.lastExit;
    this.#parts.tree.emit(pathOf('container', id), interfaceName('Container'), 'Exited', [exitCode, oomKilled, error]);
  }

  #tellOfHealth(id: ContainerId): void {
    const { health } = this.#parts.engine.containers.get(id);
    if (health === null) return;
    const words = [health.status, health.failingStreak];
    this.#parts.tree.emit(pathOf('container', id), interfaceName('Container'), 'HealthChanged', words);
  }

  #lookForImages(): void {
    const before = new Map(this.#imagePaths);
    this.#imagePaths.clear();
    for (const { id, imageId } of this.#parts.engine.containers.list()) {
      if (before.get(imageId) !== this.#imagePath(imageId)) this.#parts.tree.changed(pathOf('container', id));
    }
  }

  #add(id: ContainerId): void {
    const path = pathOf('container', id);
    const subject: Subject = { parts: this.#parts, id, path, view: () => this.#parts.engine.containers.get(id) };
    this.#parts.tree.add({ path, interfaces: [this.#interfaceOf(subject)] });
  }

  #interfaceOf(subject: Subject): ExportedInterface {
    const methods = (): Methods => this.#methodsOf(subject);
    return {
      name: interfaceName('Container'),
      // Made when asked for: a thousand containers at rest hold no closures.
      get methods() {
        return methods();
      },
      properties: () => {
        const view = subject.view();
        const facts = { imagePath: this.#imagePath(view.imageId), sizeRwBytes: this.#sizes.get(subject.id) ?? 0 };
        return propertiesOf(view, facts);
      },
      polkitDetails: (member, args) => ({ ...detailsOfContainer(subject.view()), ...detailsOfCall(member, args) }),
    };
  }

  /** The table that was made last is kept: whoever asks, asks for one method after the other. */
  #methodsOf(subject: Subject): Methods {
    if (this.#lastMade?.subject !== subject) {
      this.#lastMade = { subject, methods: methodsOf(subject, () => void this.#count(subject.id)) };
    }
    return this.#lastMade.methods;
  }

  /** Counting takes a walk through the layer, so it is done when somebody looks closely, and read as last known. */
  async #count(id: ContainerId): Promise<void> {
    try {
      const { writableBytes } = await this.#parts.engine.containers.sizes(id);
      if (!this.#parts.tree.has(pathOf('container', id))) return;
      this.#sizes.set(id, writableBytes);
      // Not announced, yet seen by who asks for everything.
      this.#parts.tree.changed(pathOf('container', id));
    } catch (error) {
      this.#parts.logger.debug('the size of a container could not be read', {
        container: id,
        reason: messageOf(error),
      });
    }
  }

  #imagePath(imageId: ContainerView['imageId']): string {
    let path = this.#imagePaths.get(imageId);
    if (path === undefined) {
      const isThere = this.#parts.engine.images.find(imageId) !== null;
      path = isThere ? imagePath(imageId) : '/';
      this.#imagePaths.set(imageId, path);
    }
    return path;
  }

  #remove(id: ContainerId): void {
    for (const execId of [...(this.#execs.get(id)?.keys() ?? [])]) this.#removeExec(id, execId);
    this.#sizes.delete(id);
    this.#parts.tree.remove(pathOf('container', id));
  }

  #addExec(containerId: ContainerId, id: ExecId): void {
    const exec = new ExecInterface(this.#parts, containerId, id);
    const execs = this.#execs.get(containerId) ?? new Map<ExecId, ExecInterface>();
    this.#execs.set(containerId, execs.set(id, exec));
    this.#parts.tree.add({ path: exec.path, interfaces: [exec] });
  }

  #removeExec(containerId: ContainerId, id: ExecId): void {
    const execs = this.#execs.get(containerId);
    const exec = execs?.get(id);
    if (execs === undefined || exec === undefined) return;
    execs.delete(id);
    if (execs.size === 0) this.#execs.delete(containerId);
    this.#parts.tree.remove(exec.path);
    exec.removed();
  }
}

function methodsOf(subject: Subject, onInspect: () => void): Methods {
  return {
    ...lifecycleMethods(subject),
    ...updateMethods(subject),
    ...factMethods(subject, onInspect),
    ...logMethods(subject),
    ...attachMethods(subject),
    ...execMethods(subject),
    ...treeMethods(subject),
    ...usageMethods(subject),
    ...fileMethods(subject),
  };
}

/** What a call is about, beyond its container: the process that it starts, the image that it makes. */
function detailsOfCall(member: string, args: readonly unknown[]): Readonly<Record<string, string>> {
  switch (member) {
    case 'Commit':
      return { image: args[0] as string };
    case 'Exec':
    case 'ExecCapture': {
      const [command, options] = args as readonly [readonly string[], Readonly<Record<string, Variant>>];
      const user = options['User']?.value;
      return detailsOfExec({
        command,
        user: typeof user === 'string' ? user : '',
        terminal: options['Tty']?.value === true,
        privileged: options['Privileged']?.value === true,
      });
    }
    case 'OpenShell': {
      const [user, path, rest] = args as readonly [string, string, readonly string[]];
      return detailsOfExec({ command: [path, ...rest], user, terminal: true, privileged: false });
    }
    default:
      return {};
  }
}
