import { inspect } from 'node:util';

/** Name of the method that node asks for how to print an object. */
export const INSPECT = inspect.custom;

/** Printed, a part of the machine is a line: whole, it would be the machine. */
export function printed(name: string, facts: Readonly<Record<string, unknown>>): string {
  const shown = Object.entries(facts).map(([key, value]) => `${key}: ${value}`);
  return `${name} { ${shown.join(', ')} }`;
}
