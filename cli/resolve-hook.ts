import { readFileSync } from 'node:fs';
import type { ResolveFnOutput, ResolveHook, ResolveHookContext } from 'node:module';
import { compileFunction } from 'node:vm';

const TYPESCRIPT = /\.[mc]?ts$/;

/**
 * Module hook for scenario files: `hotpatch-lab` means this very package, wherever the scenario lies, and TypeScript
 * files are ES modules even where no package.json says so; JavaScript is where it is written so.
 */
export const resolve: ResolveHook = async (specifier, context, next) =>
  withFormat(await next(specifier, withParent(specifier, context)));

/** What `module.registerHooks` takes: {@link resolve} in the thread that imports. */
export const resolveSync: ResolveHookSync = (specifier, context, next) =>
  withFormat(next(specifier, withParent(specifier, context)));

/** As in `module.registerHooks`, which Node 20 does not have, nor the types of it. */
export type ResolveHookSync = (
  specifier: string,
  context: ResolveHookContext,
  next: (specifier: string, context?: Partial<ResolveHookContext>) => ResolveFnOutput,
) => ResolveFnOutput;

const withParent = (specifier: string, context: ResolveHookContext): ResolveHookContext =>
  specifier === 'hotpatch-lab' || specifier.startsWith('hotpatch-lab/')
    ? { ...context, parentURL: import.meta.url }
    : context;

function withFormat(resolved: ResolveFnOutput): ResolveFnOutput {
  // A built-in module's is `node:fs`, or `fs` where the hook is synchronous.
  if (!resolved.url.startsWith('file:')) return resolved;
  const url = new URL(resolved.url);
  if (url.pathname.includes('/node_modules/')) return resolved;
  const isModule =
    TYPESCRIPT.test(url.pathname) ||
    (url.pathname.endsWith('.js') && resolved.format !== 'module' && isWrittenAsModule(url));
  return isModule ? { ...resolved, format: 'module' } : resolved;
}

/** What V8 says of a CommonJS module that is an ES module: what Node asks it for where it detects modules by itself. */
const OF_MODULES = [
  'Cannot use import statement outside a module',
  "Unexpected token 'export'",
  "Cannot use 'import.meta' outside a module",
  'await is only valid in async functions and the top level bodies of modules',
];

function isWrittenAsModule(url: URL): boolean {
  try {
    compileFunction(readFileSync(url, 'utf8'), ['exports', 'require', 'module', '__filename', '__dirname']);
    return false;
  } catch (error) {
    return error instanceof Error && OF_MODULES.some((message) => error.message.includes(message));
  }
}
