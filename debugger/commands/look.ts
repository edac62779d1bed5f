import type { DebugCommand } from '../command.js';
import { DebugError } from '../error.js';
import { evaluate } from '../expression.js';
import type { View } from '../view.js';

const PAGE = 0x1000n;
/** A region is followed over so many pages to each side. */
const MOST_PAGES = 0x1_0000;

export const lookCommands: readonly DebugCommand[] = [
  {
    name: '!address',
    usage: '!address [ADDRESS]',
    help: 'the region around ADDRESS: pages of one protection, and what they are used for',
    run: ({ view, args }) => regionLines(view, args === '' ? view.pc : evaluate(args, view)),
  },
  {
    name: '.context',
    usage: '.context [on|off]',
    help: 'show registers that have changed, the code ahead and the stack at each stop',
    run: ({ view: { session }, args }) => {
      if (args !== '' && args !== 'on' && args !== 'off')
        throw new DebugError(`'${args}': .context on, or .context off`);
      if (args !== '') session.showsContext = args === 'on';
      return [`Context is ${session.showsContext ? 'shown' : 'not shown'} at each stop`];
    },
  },
];

function regionLines(view: View, address: bigint): string[] {
  const page = address & ~(PAGE - 1n);
  const { state, protection } = view.space.query(page);
  const usage = usageOf(view, page);
  const belongs = (at: bigint) => {
    const other = view.space.query(at);
    return other.state === state && other.protection === protection && usageOf(view, at) === usage;
  };
  if (state === 'free') return [`${view.format(address)} is free`];
  const start = page - PAGE * BigInt(count((n) => page >= PAGE * n && belongs(page - PAGE * n)));
  const end = page + PAGE * BigInt(1 + count((n) => belongs(page + PAGE * n)));
  return [
    `Usage:             ${usage}`,
    `Base Address:      ${view.format(start)}`,
    `End Address:       ${view.format(end)}`,
    `Region Size:       ${view.format(end - start)}`,
    `State:             MEM_${state === 'committed' ? 'COMMIT' : 'RESERVE'}`,
    ...(protection === undefined ? [] : [`Protect:           ${protection}`]),
  ];
}

/** How many of 1, 2, 3 … hold one after the other. */
function count(holds: (n: bigint) => boolean): number {
  let found = 0;
  while (found < MOST_PAGES && holds(BigInt(found + 1))) found++;
  return found;
}

/** What a page is used for, as `!address` names it. */
function usageOf(view: View, page: bigint): string {
  if (view.space.query(page).service) return 'Simulated exports';
  const image = view.imageAt(page);
  if (image !== undefined) {
    if (image.hpat?.contains(page) === true) return `HPAT of ${image.baseDllName}`;
    const rva = image.rva(page);
    const section = image.image.sectionAt(rva)?.name;
    return `Image ${image.baseDllName}${section === undefined ? '' : `, ${section}`}`;
  }
  const owner = view.kernel.threads.find(
    ({ stack: { base, size } }) => page >= base && page < base + BigInt(size),
  );
  if (owner !== undefined) return `Stack of thread ${owner.id}`;
  const environment = view.kernel.threads.find(
    ({ teb }) => teb !== undefined && (teb & ~(PAGE - 1n)) === page,
  );
  if (environment !== undefined) return `TEB of thread ${environment.id}`;
  const block = [...view.kernel.pool.blocks].find(
    ([start, { size }]) => page + PAGE > start && page < start + BigInt(size),
  );
  return block === undefined ? 'Other' : 'Pool';
}
