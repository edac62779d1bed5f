import type { AddressSpace, Processor } from '../../cpu/index.js';
import type { Lab } from '../../lab/index.js';
import type { ImageDomain, LoadedImage, Thread } from '../../loader/index.js';
import type {
  DomainFacts,
  ImageFacts,
  ProcessorFacts,
  ServiceFacts,
  SpaceFacts,
  ThreadFacts,
} from '../recording/format.js';
import { MemoryTracker } from './memory-tracker.js';

/** A lab that is recorded. */
export interface RecordedLab {
  readonly lab: Lab;
  readonly memory: MemoryTracker;
  /** Index of its first processor in the recording. */
  readonly firstProcessor: number;
}

type MutableImage = { -readonly [K in keyof ImageFacts]: ImageFacts[K] };

/** Everything of a run that has a name, numbered in the order in which it was met. */
export class Catalogue {
  readonly labs: RecordedLab[] = [];
  readonly numbers = { frames: 0, tables: [] };
  readonly processors: ProcessorFacts[] = [];
  readonly spaces: SpaceFacts[] = [];
  readonly domains: DomainFacts[] = [];
  readonly threads: ThreadFacts[] = [];
  readonly images: MutableImage[] = [];
  readonly services: ServiceFacts[] = [];
  /** In the order of {@link images}. */
  readonly loadedImages: LoadedImage[] = [];
  readonly #domains = new Map<ImageDomain, number>();
  readonly #threads = new Map<Thread, number>();
  readonly #images = new Map<LoadedImage, number>();
  readonly #services = new Set<string>();

  addLab(lab: Lab): RecordedLab {
    const { machine } = lab.kernel;
    const recorded = {
      lab,
      memory: new MemoryTracker(machine, this.numbers, this.spaces),
      firstProcessor: this.processors.length,
    };
    const { name, registers, programCounter, stackPointer, returnAddress } = machine.architecture;
    for (const { index } of machine.processors)
      this.processors.push({
        machine: this.labs.length,
        index,
        architecture: name,
        registers,
        programCounter,
        stackPointer,
        returnAddress: hex(returnAddress),
      });
    this.labs.push(recorded);
    return recorded;
  }

  labOf(thread: Thread): RecordedLab {
    const recorded = this.labs.find(({ lab }) => lab.kernel.machine === thread.domain.machine);
    if (recorded === undefined) throw new Error(`thread ${thread.id} belongs to no lab that is recorded`);
    return recorded;
  }

  processor({ firstProcessor }: RecordedLab, { index }: Processor): number {
    return firstProcessor + index;
  }

  thread(thread: Thread, moment: number): number {
    const known = this.#threads.get(thread);
    if (known !== undefined) return known;
    const recorded = this.labOf(thread);
    const { id, name, domain, addressSpace, stack } = thread;
    this.#threads.set(thread, this.threads.length);
    return (
      this.threads.push({
        id,
        name,
        domain: this.domain(recorded, domain, moment),
        space: recorded.memory.space(addressSpace, moment),
        stack: [hex(stack.base), stack.size],
      }) - 1
    );
  }

  domain(recorded: RecordedLab, domain: ImageDomain, moment: number): number {
    const known = this.#domains.get(domain);
    if (known !== undefined) return known;
    const { system } = recorded.lab.kernel;
    const parent = domain.parent ?? (domain.kind === 'user' ? system : undefined);
    const above = parent === undefined ? [] : [this.domain(recorded, parent, moment)];
    const { name, kind, addressSpace, architecture } = domain;
    const index = this.domains.length;
    this.#domains.set(domain, index);
    const space = this.#space(recorded, addressSpace, moment);
    this.domains.push({ name, kind, space, visible: [index, ...above], architecture: architecture.name });
    return index;
  }

  /** Notes which images have come and gone. */
  noteImages(moment: number): void {
    for (const recorded of this.labs) {
      const present = new Set<LoadedImage>();
      for (const domain of recorded.lab.kernel.domains)
        for (const image of domain.images) {
          present.add(image);
          if (!this.#images.has(image)) this.#addImage(recorded, image, moment);
        }
      for (const [image, index] of this.#images) {
        const facts = this.images[index];
        if (facts === undefined || facts.to !== undefined || present.has(image)) continue;
        if (image.domain.machine === recorded.lab.kernel.machine) facts.to = moment;
      }
    }
  }

  image(image: LoadedImage): number | undefined {
    return this.#images.get(image);
  }

  /** A simulated export that was called. */
  noteService(thread: Thread, address: bigint, moment: number): string | undefined {
    const service = thread.domain.services.at(address);
    if (service === undefined) return undefined;
    const domain = this.domain(this.labOf(thread), thread.domain, moment);
    const name = `${service.module.replace(/\.[^.]*$/, '')}!${service.entry.name}`;
    const key = `${domain} ${address}`;
    if (!this.#services.has(key)) this.services.push({ address: hex(address), name, domain });
    this.#services.add(key);
    return name;
  }

  #space({ memory }: RecordedLab, space: AddressSpace, moment: number): number {
    return memory.space(space, moment);
  }

  #addImage(recorded: RecordedLab, image: LoadedImage, moment: number): void {
    const { baseDllName, dllBase, sizeOfImage, domain, hpat, retpolinePage, loadReason } = image;
    this.#images.set(image, this.images.length);
    this.loadedImages.push(image);
    this.images.push({
      name: baseDllName,
      base: hex(dllBase),
      size: sizeOfImage,
      domain: this.domain(recorded, domain, moment),
      isPatch: loadReason === 'PatchImage',
      ...(hpat === undefined
        ? {}
        : { hpat: { base: hex(hpat.base), size: hpat.reserveSize, layout: hpat.layout } }),
      ...(retpolinePage === undefined ? {} : { retpolinePage: hex(retpolinePage) }),
      sections: image.image.sections.map((section) => ({
        name: section.name,
        rva: section.virtualAddress,
        size: section.virtualSize,
        executable: image.executableSections.includes(section),
      })),
      symbols: symbolsOf(image),
      from: moment,
    });
  }
}

/** One name for each RVA: the one that the debugger uses. */
function symbolsOf({ symbols }: LoadedImage): ImageFacts['symbols'] {
  const rvas = [...new Set(symbols.all.map(({ rva }) => rva))];
  return rvas.flatMap((rva) => {
    const near = symbols.byAddress(rva);
    return near?.offset === 0 ? [[rva, near.symbol.name] as const] : [];
  });
}

export function hex(value: bigint): string {
  return `0x${BigInt.asUintN(64, value).toString(16)}`;
}
