import type { Engine } from './engine.js';

/**
 * Unicorn never forgets that an exception was being delivered and would make the next one a double fault. Tells whether
 * there was one, which int instructions do not count as.
 */
export function clearPendingException(engine: Engine): boolean {
  const context = engine.saveContext();
  const view = new DataView(context.buffer);
  const { oldException } = engine.calibration;
  if (view.getInt32(oldException, true) === -1) return false;
  view.setInt32(oldException, -1, true);
  engine.restoreContext(context);
  return true;
}
