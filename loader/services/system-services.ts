import { KernelError } from '../common/index.js';
import type { ServiceCall } from '../dispatch/index.js';
import { GuestAccessViolation } from '../memory/index.js';
import type { ServiceResult } from '../threads/index.js';

/** A system service: what a number of the service table leads to. */
export type SystemService = (call: ServiceCall) => ServiceResult;

const STATUS_INVALID_SYSTEM_SERVICE = 0xc000_001cn;
const STATUS_ACCESS_VIOLATION = 0xc000_0005n;

/**
 * The system service table (KeServiceDescriptorTable). Numbers differ from build to build of Windows; these are given out
 * in the order of definition and told by `number`.
 */
export class SystemServices {
  readonly #names: string[] = [];
  readonly #services = new Map<string, SystemService>();

  /** Adds a service, or replaces one; it keeps its number then. */
  define(name: string, service: SystemService): void {
    if (!this.#services.has(name)) this.#names.push(name);
    this.#services.set(name, service);
  }

  /** What goes into eax, or into the immediate of svc. @throws KernelError `entryPointNotFound` */
  number(name: string): number {
    const index = this.#names.indexOf(name);
    if (index >= 0) return index;
    throw new KernelError({
      rule: 'entryPointNotFound',
      status: 'STATUS_ENTRYPOINT_NOT_FOUND',
      place: name,
      message: `there is no system service ${name}`,
      hint: 'define it: systemServices.define(name, (call) => …)',
    });
  }

  get names(): readonly string[] {
    return this.#names;
  }

  /** Calls a service by number, as the instruction does. */
  dispatch(number: number, call: ServiceCall): ServiceResult {
    const service = this.#services.get(this.#names[number] ?? '');
    if (service === undefined) return STATUS_INVALID_SYSTEM_SERVICE;
    try {
      return service(call);
    } catch (error) {
      // As the exception handler around every service does that touches the caller's memory.
      if (!(error instanceof GuestAccessViolation)) throw error;
      return STATUS_ACCESS_VIOLATION;
    }
  }

  /** Calls a service by name, as the stub of ntdll does. */
  call(name: string, call: ServiceCall): ServiceResult {
    return this.dispatch(this.number(name), call);
  }
}
