import { register as registerHooks } from 'node:module';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Scenario } from '../lab/index.js';
import { reportOf, UsageError } from './errors.js';
import { readInput } from './files.js';
import { rememberScenario } from './scenario-errors.js';

/** Imports a scenario file; TypeScript goes through tsx, and `hotpatch-lab` is the package that runs this command. */
export async function loadScenario(file: string): Promise<Scenario> {
  readInput(file);
  rememberScenario(file);
  // So that an error names the line of the scenario that the user wrote.
  process.setSourceMapsEnabled(true);
  const { register } = await import('tsx/esm/api');
  const unregister = register({ tsconfig: false });
  registerHooks('./resolve-hook.js', import.meta.url);
  try {
    const module: { default?: unknown } = await import(pathToFileURL(resolve(file)).href);
    if (isScenario(module.default)) return module.default;
    throw new UsageError(
      `${file}: its default export is not a scenario; export default defineScenario('title', async () => { … })`,
    );
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND')
      throw new UsageError(`${file}: ${error.message}`);
    if (error instanceof Error && error.name === 'TransformError')
      throw new UsageError(`${file}: ${error.message}`);
    // Whatever else it throws while it is loaded is the scenario's own.
    if (reportOf(error) === undefined) throw new UsageError(`${file}: while it was loaded: ${String(error)}`);
    throw error;
  } finally {
    await unregister();
  }
}

function isScenario(value: unknown): value is Scenario {
  return (
    typeof value === 'object' &&
    value !== null &&
    'title' in value &&
    'body' in value &&
    typeof value.body === 'function'
  );
}
