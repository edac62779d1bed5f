import { breakpointRequests } from './breakpoints.js';
import { executionRequests } from './execution.js';
import type { DapHandler } from './handler.js';
import { hotpatchRequests } from './hotpatch.js';
import { memoryRequests } from './memory.js';
import { stackRequests } from './stack.js';

/** Requests that are answered by the thread of the debuggee, while it stands still. */
export const DAP_REQUESTS: Readonly<Record<string, DapHandler>> = {
  ...executionRequests,
  ...breakpointRequests,
  ...stackRequests,
  ...memoryRequests,
  ...hotpatchRequests,
};
