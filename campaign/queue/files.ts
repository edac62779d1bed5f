import { CampaignError } from '../error.js';
import { FileFolder } from '../store/files.js';
import type { FileReference } from '../unit.js';
import type { Connection } from './packages.js';

/** Bytes of a file that may lie in the queue's server. */
export const MOST_IN_QUEUE = 32 * 1024 * 1024;

const keyOf = (queue: string, { sha256 }: FileReference): string => `${queue}:file:${sha256}`;

/** Files on their way: in the server of the queue up to a size, else in a folder that all machines see. */
export class TravellingFiles {
  readonly #shared: FileFolder | undefined;
  readonly #sent = new Set<string>();

  constructor(
    private readonly connection: Connection,
    private readonly queue: string,
    private readonly local: FileFolder,
    shared: string | undefined,
    private readonly limit = MOST_IN_QUEUE,
  ) {
    this.#shared = shared === undefined ? undefined : new FileFolder(shared);
  }

  /** Once for each file. @throws CampaignError `file.missing` when it is too large and there is no shared folder */
  async send(file: FileReference): Promise<void> {
    if (this.#sent.has(file.sha256)) return;
    if (file.size <= this.limit)
      await this.connection.set(keyOf(this.queue, file), Buffer.from(this.local.read(file)));
    else if (this.#shared !== undefined) this.#shared.copyFrom(this.local, file);
    else
      throw new CampaignError('file.missing', `${file.size} bytes are too many for the queue`, {
        place: file.name,
        hint: 'name a folder that all machines see: --files FOLDER',
      });
    this.#sent.add(file.sha256);
  }

  /** Brings a file into the local folder. @throws CampaignError `file.missing` */
  async fetch(file: FileReference): Promise<void> {
    if (this.local.has(file)) return;
    if (this.#shared?.has(file) === true) {
      this.local.copyFrom(this.#shared, file);
      return;
    }
    const bytes = await this.connection.getBuffer(keyOf(this.queue, file));
    if (bytes === null || this.local.put(bytes) !== file.sha256)
      throw new CampaignError('file.missing', 'it is neither in the queue nor in the shared folder', {
        place: file.name,
        hint: 'give workers the same --files FOLDER as the campaign',
      });
  }

  /** What was sent through the server is not needed any more. */
  async forget(): Promise<void> {
    for (const sha256 of this.#sent)
      await this.connection.del(keyOf(this.queue, { name: '', sha256, size: 0 }));
  }
}
