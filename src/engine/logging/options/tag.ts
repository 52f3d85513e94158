/** `--log-opt tag`: the part of Go's templates that tags are written in, with the names that Docker's loggers know. */
import type { Timestamp } from '../../../base/clock.ts';
import { InvalidArgumentError } from '../../../base/errors.ts';
import type { LoggedContainer } from '../driver.ts';

export const DEFAULT_TAG = '{{.ID}}';

const SHORT_ID_LENGTH = 12;
/** `{{ .Name }}`, also with the dashes that eat blanks around it. */
const ACTION = /(\s+\{\{-\s|\{\{)\s*\.([A-Za-z]+)\s*(\s-\}\}\s+|\}\})/g;

/** What each word stands for. */
const WORDS: Readonly<Record<string, (container: LoggedContainer) => string>> = {
  ID: ({ id }) => id.slice(0, SHORT_ID_LENGTH),
  FullID: ({ id }) => id,
  ContainerID: ({ id }) => id,
  Name: ({ name }) => name,
  ContainerName: ({ name }) => `/${name}`,
  // Docker cuts the digest with its algorithm: `sha256:a1b2c`.
  ImageID: ({ imageId }) => imageId.slice(0, SHORT_ID_LENGTH),
  ImageFullID: ({ imageId }) => imageId,
  ContainerImageID: ({ imageId }) => imageId,
  ImageName: ({ imageName }) => imageName,
  ContainerImageName: ({ imageName }) => imageName,
  Command: ({ command }) => command.join(' '),
  DaemonName: () => 'docker',
};

/** InvalidArgumentError for what is no tag: in Go's words for an unknown name, in ours for the rest of the language. */
export function checkTag(template: string): void {
  renderTag(template, NOBODY);
}

/** The tag of one container's log. */
export function renderTag(template: string, container: LoggedContainer): string {
  const text = template.replace(ACTION, (whole, _open, word: string) => {
    const render = WORDS[word];
    if (render === undefined) {
      throw new InvalidArgumentError(
        `failed to initialize logging driver: template: log-tag:1: executing "log-tag" at <.${word}>: can't evaluate field ${word} in type *logger.Info`,
      );
    }
    return whole.length === 0 ? '' : render(container);
  });
  if (/\{\{|\}\}/.test(template.replace(ACTION, ''))) {
    throw new InvalidArgumentError(`log opt 'tag': only {{.Name}} and its like are supported: ${template}`);
  }
  return text;
}

const NOBODY: LoggedContainer = {
  id: '',
  name: '',
  imageId: '',
  imageName: '',
  command: [],
  createdAt: 0n as Timestamp,
  labels: {},
  env: [],
};
