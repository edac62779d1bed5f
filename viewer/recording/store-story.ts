import { bytesOf, hexBytes } from './code-book.js';
import type { EventFacts } from './format.js';

type Store = NonNullable<EventFacts['store']>;

/**
 * What a store of the engine is for.
 * @param isPatchImage it is into the patch image: its copies of what the base has are led back
 */
export function storeStory(
  store: Store,
  isPatchImage: boolean,
): { readonly title: string; readonly text: string } {
  const { target, symbol, writer } = store;
  const after = hexBytes(bytesOf(store.bytes));
  const before = hexBytes(bytesOf(store.before));
  const who = writer === 'SecureKernel' ? 'The Secure Kernel' : 'NT';
  switch (target) {
    case 'dataSlot':
      return {
        title: 'Store: HPAT data slot',
        text: `${who} stores the address that ${symbol} will lead to. Nothing runs differently yet.`,
      };
    case 'codeSlot':
      return {
        title: 'Store: HPAT code slot',
        text: `${who} stores the instruction that goes through the data slot. Nobody jumps here yet.`,
      };
    case 'padding':
      return isJump(store)
        ? {
            title: 'Store: jump in the padding',
            text: `${who} turns the filler before ${symbol} into a jump to the HPAT. The function itself is still untouched.`,
          }
        : {
            title: 'Store: padding restored',
            text: `${who} puts the filler before ${symbol} back: ${after}.`,
          };
    case 'entry':
      if (isPatchImage && isJump(store))
        return {
          title: 'Store: the copy in the patch image leads back',
          text: `The patch does not change ${symbol}, but its image has a copy. The first ${bytesOf(store.bytes).length} bytes of it were ${before} and become ${after}: whoever calls the copy arrives at the function of the base. Nothing of the base is different yet.`,
        };
      return isJump(store)
        ? {
            title: 'Store: the entry. The patch goes live',
            text: `One store: the first ${bytesOf(store.bytes).length} bytes of ${symbol} were ${before} and become ${after}. From now on every call of it takes the new way; whoever is inside finishes the old code.`,
          }
        : {
            title: 'Store: the entry gets its bytes back',
            text: `One store: the first bytes of ${symbol} were ${before} and become ${after} again. From now on every call runs the old function.`,
          };
    case 'pointer':
      return {
        title: 'Store: a pointer of the patch image',
        text: `${who} points ${symbol} of the patch image at what the base uses, so that old and new code share their data and imports.`,
      };
    default:
      return {
        title: 'Store: the patch image is adjusted',
        text: `${who} stores ${after} for ${symbol}; it was ${before}.`,
      };
  }
}

const SHORT_JUMP = 0xeb;
const NEAR_JUMP = 0xe9;

/** Does the store lead away from a function? The short and the near jump, `FF 25`, and the `b` of ARM64. */
function isJump({ bytes }: Store): boolean {
  const [first, second, , fourth] = bytesOf(bytes);
  if (first === SHORT_JUMP || first === NEAR_JUMP) return true;
  if (first === 0xff && second === 0x25) return true;
  return bytes.length === 8 && fourth !== undefined && fourth >> 2 === 0b000101;
}
