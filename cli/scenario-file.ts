import * as nodeModule from 'node:module';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Scenario } from '../lab/index.js';
import { reportOf, UsageError } from './errors.js';
import { readInput } from './files.js';
import { type ResolveHookSync, resolveSync } from './resolve-hook.js';
import { rememberScenario } from './scenario-errors.js';

/** Imports a scenario file; TypeScript goes through tsx, and `hotpatch-lab` is the package that runs this command. */
export async function loadScenario(file: string): Promise<Scenario> {
  readInput(file);
  rememberScenario(file);
  const scenario = await importDefault(file);
  if (isScenario(scenario)) return scenario;
  throw new UsageError(
    `${file}: its default export is not a scenario; export default defineScenario('title', async () => { … })`,
  );
}

/**
 * The default export of a TypeScript or JavaScript file.
 * @throws UsageError when it cannot be loaded
 */
export async function importDefault(file: string): Promise<unknown> {
  // So that an error names the line of the file that the user wrote.
  process.setSourceMapsEnabled(true);
  const { register } = await import('tsx/esm/api');
  const unregister = register({ tsconfig: false });
  registerResolveHook();
  try {
    const module: { default?: unknown } = await import(pathToFileURL(resolve(file)).href);
    return module.default;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND')
      throw new UsageError(`${file}: ${error.message}`);
    if (error instanceof Error && error.name === 'TransformError')
      throw new UsageError(`${file}: ${error.message}`);
    // Whatever else it throws while it is loaded is the file's own.
    if (reportOf(error) === undefined) throw new UsageError(`${file}: while it was loaded: ${String(error)}`);
    throw error;
  } finally {
    await unregister();
  }
}

let lastHook: { deregister(): void } | undefined;

/** After tsx, so that it comes before tsx; it stays for what scenarios import while they run. */
function registerResolveHook(): void {
  const { registerHooks } = nodeModule as {
    registerHooks?: (hooks: { resolve: ResolveHookSync }) => { deregister(): void };
  };
  // Node 26 prints a warning that `register` is deprecated; Node 20 has nothing else.
  if (registerHooks === undefined) nodeModule.register('./resolve-hook.js', import.meta.url);
  lastHook?.deregister();
  lastHook = registerHooks?.({ resolve: resolveSync });
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
