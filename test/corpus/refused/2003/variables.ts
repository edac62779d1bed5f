import { RETURN } from '../refusal.js';
import {
  all,
  type Change,
  code,
  data,
  INCREMENT,
  newF,
  oldF,
  pair,
  READ,
  type Refusal2003,
  renamed,
  touches,
} from './refusal.js';

const counter = data('counter', 7, 0, 0, 0);
/** The fixed f counts; so does a function that only the fix has. */
const counts = touches('f', INCREMENT, 'counter');

const limit = (value: number): Change => data('limit', value, 0, 0, 0);
const constant =
  (value: number): Change =>
  (b) =>
    b.constant('limit', [value, 0, 0, 0]);

/** What concerns the data that old and new code share. */
export const VARIABLES: readonly Refusal2003[] = [
  {
    what: 'changed code reads the TLS index of its own image',
    rule: 'hotp1.tls',
    symbol: 'f',
    refused: pair(
      all(oldF, data('_tls_index', 0, 0, 0, 0)),
      all(touches('f', READ, '_tls_index'), data('_tls_index', 0, 0, 0, 0)),
    ),
    accepted: pair(all(oldF, counter), all(touches('f', READ, 'counter'), counter)),
  },
  {
    what: 'changed code touches the template of thread-local variables',
    rule: 'hotp1.tls',
    symbol: 'f',
    refused: pair(all(oldF, inSection('.tls')), all(counts, inSection('.tls'))),
    accepted: pair(all(oldF, inSection('.mine')), all(counts, inSection('.mine'))),
  },
  {
    what: 'a static variable with a namesake that nothing tells it from',
    rule: 'hotp1.ambiguous',
    symbol: 's',
    refused: namesakes('a.obj', 'a.obj'),
    accepted: namesakes('a.obj', 'b.obj'),
  },
  {
    what: 'changed code refers to the headers of its image',
    rule: 'hotp1.unknown',
    symbol: 'f',
    refused: pair(
      all(oldF, counter),
      all(
        touches('f', READ, () => 0x100),
        counter,
      ),
    ),
    accepted: pair(
      all(oldF, counter),
      all(
        touches('f', READ, (layout) => layout.rva('counter')),
        counter,
      ),
    ),
  },
  {
    what: 'changed code uses a variable without a symbol',
    rule: 'hotp1.unknown',
    symbol: 'f',
    refused: pair(all(oldF, counter), all(counts, counter), (symbols) =>
      symbols.filter(({ name }) => name !== 'counter'),
    ),
    accepted: pair(all(oldF, counter), all(counts, counter)),
  },
  {
    what: 'a variable that only the fix has',
    rule: 'hotp1.ownVariable',
    symbol: 'counter',
    refused: pair(oldF, all(counts, counter)),
    accepted: pair(all(oldF, counter), all(counts, counter)),
  },
  {
    what: 'a variable that only the fix has, in a new function',
    rule: 'hotp1.ownVariable',
    symbol: 'counter',
    refused: pair(oldF, all(callsHelper, touches('helper', INCREMENT, 'counter'), counter)),
    accepted: pair(all(oldF, counter), all(callsHelper, touches('helper', INCREMENT, 'counter'), counter)),
  },
  {
    what: 'a variable grows',
    rule: 'data.size',
    symbol: 'table',
    refused: pair(all(oldF, data('table', 1, 2, 3, 4)), all(newF, data('table', 1, 2, 3, 4, 0, 0, 0, 0))),
    accepted: pair(all(oldF, data('table', 1, 2, 3, 4)), all(newF, data('table', 1, 2, 3, 4))),
  },
  {
    what: 'a variable begins with another value',
    rule: 'data.value',
    symbol: 'limit',
    refused: pair(all(oldF, limit(100)), all(newF, limit(200))),
    accepted: pair(all(oldF, constant(100)), all(newF, constant(200))),
  },
  {
    what: 'a variable begins with another pointer',
    rule: 'data.value',
    symbol: 'hook',
    refused: pair(hooks(oldF, 'g'), hooks(newF, 'h')),
    accepted: pair(hooks(oldF, 'g'), hooks(newF, 'g')),
  },
  {
    what: 'a constant becomes a variable',
    rule: 'data.protection',
    symbol: 'limit',
    refused: pair(all(oldF, constant(100)), all(newF, limit(100))),
    accepted: pair(all(oldF, limit(100)), all(newF, limit(100))),
  },
];

function inSection(section: string): Change {
  return (b) => b.data('counter', [7, 0, 0, 0], { section });
}

function callsHelper(builder: Parameters<Change>[0]): ReturnType<Change> {
  const CALL_REL32 = 0xe8;
  const AT = 1;
  return builder.code('f', (layout) => {
    const distance = layout.rva('helper') - layout.rva('f') - AT - 4;
    return [CALL_REL32, ...[0, 8, 16, 24].map((shift) => (distance >> shift) & 0xff), 0x90, 0xc3];
  });
}

function hooks(f: Change, target: string): Change {
  return all(f, code('g', RETURN(5)), code('h', RETURN(6)), (b) =>
    b.pointers('hook', [target], { section: '.data' }),
  );
}

/** Two statics `s` of these objects; f of the fix counts in the second one. */
function namesakes(first: string, second: string) {
  const both = all(data('s1', 1, 0, 0, 0), data('s2', 1, 0, 0, 0));
  return pair(
    all(oldF, both),
    all(touches('f', INCREMENT, 's2'), both),
    renamed({
      s1: { name: 's', isStatic: true, module: first },
      s2: { name: 's', isStatic: true, module: second },
    }),
  );
}
