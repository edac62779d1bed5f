import type { ResolveHook } from 'node:module';

const TYPESCRIPT = /\.[mc]?ts$/;

/**
 * Module hook for scenario files: `hotpatch-lab` means this very package, wherever the scenario lies, and TypeScript
 * files are ES modules even where no package.json says so.
 */
export const resolve: ResolveHook = async (specifier, context, next) => {
  if (specifier === 'hotpatch-lab' || specifier.startsWith('hotpatch-lab/'))
    return next(specifier, { ...context, parentURL: import.meta.url });
  const resolved = await next(specifier, context);
  const { pathname } = new URL(resolved.url);
  const isOwn = TYPESCRIPT.test(pathname) && !pathname.includes('/node_modules/');
  return isOwn ? { ...resolved, format: 'module' } : resolved;
};
