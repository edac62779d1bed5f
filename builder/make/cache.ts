import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where bases, objects and libraries are kept: $HOTPATCH_CACHE, else hotpatch-lab in the user's cache. */
export function cacheFolder(environment: NodeJS.ProcessEnv = process.env): string {
  const { HOTPATCH_CACHE: own, XDG_CACHE_HOME: xdg } = environment;
  if (own !== undefined && own !== '') return own;
  return join(xdg !== undefined && xdg !== '' ? xdg : join(homedir(), '.cache'), 'hotpatch-lab');
}
