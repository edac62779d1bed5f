/**
 * Keeps `dist/index.js`, where the package's root was before its rooms stood at the root of the repository: whoever
 * imports the build by its path instead of by the package's name still finds it.
 */
import { writeFileSync } from 'node:fs';

for (const name of ['index.js', 'index.d.ts'])
  writeFileSync(new URL(`../../dist/${name}`, import.meta.url), "export * from './lab/index.js';\n");
