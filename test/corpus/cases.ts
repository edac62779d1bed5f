import type { CorpusCase } from './case.js';
import { control } from './programs/control/manifest.js';
import { doublefetch } from './programs/doublefetch/manifest.js';
import { frames } from './programs/frames/manifest.js';
import { handlers } from './programs/handlers/manifest.js';
import { heartbeat } from './programs/heartbeat/manifest.js';
import { labels } from './programs/labels/manifest.js';
import { logger } from './programs/logger/manifest.js';
import { parser } from './programs/parser/manifest.js';
import { quota } from './programs/quota/manifest.js';
import { sessions } from './programs/sessions/manifest.js';
import { status } from './programs/status/manifest.js';
import { tickets } from './programs/tickets/manifest.js';
import { tokens } from './programs/tokens/manifest.js';

/** The corpus programs. */
export const CASES: readonly CorpusCase[] = [
  labels,
  heartbeat,
  frames,
  sessions,
  control,
  tokens,
  status,
  doublefetch,
  logger,
  tickets,
  parser,
  quota,
  handlers,
];
