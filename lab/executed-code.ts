import { KernelError, type LoadedImage, type Thread } from '../loader/index.js';
import { originalCode } from './code-difference.js';

/** A function of which a thread has executed code of its own, trampolines apart. */
export interface ExecutedFunction {
  /** As the image's symbols name it. */
  readonly name: string;
  readonly image: LoadedImage;
  readonly instructions: number;
}

/** What a thread did from the moment on that it was watched to its end. */
export interface ThreadRun {
  /** In the order in which they were first executed. */
  readonly functions: readonly ExecutedFunction[];
  /** Why it did not come to its end: what the run threw. */
  readonly error?: Error;
}

const runs = new WeakMap<Thread, ThreadRun>();

/**
 * Runs a thread to its end and notes whose code it executes. A thread is run once: asked again, the same answer is
 * given.
 * @throws KernelError `threadEnded` when it had ended before anybody watched
 */
export function watchedRun(thread: Thread): ThreadRun {
  const known = runs.get(thread);
  if (known !== undefined) return known;
  if (thread.finished)
    throw new KernelError({
      rule: 'threadEnded',
      status: 'STATUS_INVALID_PARAMETER',
      place: `thread ${thread.id}`,
      message: `thread ${thread.id} had ended before anybody watched what it executes`,
      hint: 'expect something of a thread that lab.startThread has made and nobody has run yet',
    });
  const run = watch(thread);
  runs.set(thread, run);
  return run;
}

function watch(thread: Thread): ThreadRun {
  const { system } = thread;
  const counts = new Map<string, { name: string; image: LoadedImage; instructions: number }>();
  const note = (address: bigint, size: number) => {
    const image = thread.domain.imageAt(address);
    if (image === undefined || isTrampoline(image, address, size)) return;
    const name = image.symbols.byAddress(image.rva(address))?.symbol.name ?? image.moduleName;
    const key = `${image.dllBase} ${name}`;
    const entry = counts.get(key) ?? { name, image, instructions: 0 };
    entry.instructions++;
    counts.set(key, entry);
  };
  const observers = thread.domain.machine.processors.map((processor) =>
    processor.observe({
      instruction: (address, size) => {
        if (system.scheduler.threadOn(processor) === thread) note(address, size);
      },
    }),
  );
  let error: Error | undefined;
  try {
    system.run({ until: thread.returns() });
  } catch (thrown) {
    if (!(thrown instanceof Error)) throw thrown;
    error = thrown;
  } finally {
    for (const observer of observers) observer[Symbol.dispose]();
  }
  return { functions: [...counts.values()], ...(error === undefined ? {} : { error }) };
}

/** Code that the engine has put there: HPAT, retpoline page, and bytes of the image that are not its own. */
function isTrampoline(image: LoadedImage, address: bigint, size: number): boolean {
  const rva = image.rva(address);
  if (rva >= image.sizeOfImage) return true;
  const original = originalCode(image, rva, size);
  const now = image.domain.addressSpace.read(address, size);
  return now.some((byte, i) => byte !== original[i]);
}
