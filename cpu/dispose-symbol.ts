/**
 * Node 20 and 22 have `Symbol.dispose` in their first context only, and vitest's vm pools run tests in another one. The
 * name is the one that esbuild's and TypeScript's translations of `using` fall back to.
 */
for (const name of ['dispose', 'asyncDispose'] as const)
  if (!(name in Symbol)) Object.defineProperty(Symbol, name, { value: Symbol.for(`Symbol.${name}`) });

export {};
