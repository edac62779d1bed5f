import type { Random } from '../random.js';
import { call, condition, constant, expression, type Scope } from './expression.js';
import type { CFunction, CProgram, Part } from './program.js';

/** A call of an exported function: `entry0 3 17`. */
export interface ProgramCall {
  readonly function: string;
  readonly arguments: readonly number[];
}

export interface GeneratedProgram {
  readonly program: CProgram;
  /** What functions may name beside their parameters. */
  readonly scope: Scope;
  readonly calls: readonly ProgramCall[];
  /** Each call begins by setting every variable: what earlier calls did does not matter. */
  readonly isReset: boolean;
}

const EXPORT = '__declspec(dllexport)';
const NOINLINE = '__attribute__((noinline))';

/** Makes programs of a few functions with structures, statics, tables, switches, loops, function pointers and recursion. */
export class ProgramMaker {
  #ids = 0;

  constructor(readonly random: Random) {}

  part(text: string): Part {
    return { id: this.#ids++, text };
  }

  make(): GeneratedProgram {
    const { random } = this;
    const globals: Part[] = [
      this.part(`typedef unsigned (*operation)(unsigned, unsigned);`),
      this.part(
        `struct record { unsigned count; ${random.pick(['unsigned char', 'unsigned short', 'unsigned'])} kind; unsigned items[4]; struct record *next; };`,
      ),
      this.part(`static struct record first${random.once(2) ? ' = {3u, 1, {1u, 2u, 3u, 4u}, 0}' : ''};`),
      this.part(`static struct record second = {${constant(random)}, 2, {${constant(random)}}, &first};`),
    ];
    const resets: string[] = [
      'first.count = 3u; first.kind = 1; first.next = 0; second.count = 5u; second.kind = 2; second.next = &first;',
      'for (unsigned i = 0; i < 4u; i++) { first.items[i] = i; second.items[i] = i * 7u; }',
    ];
    const values: string[] = [
      'first.count',
      '(unsigned)first.kind',
      'second.count',
      'first.items[1]',
      'second.items[3]',
    ];
    const places: string[] = ['first.count', 'second.count', 'first.items[2]', 'second.items[0]'];
    for (let index = random.between(1, 3); index > 0; index--) {
      const name = `g${index}`;
      const value = constant(random);
      const isConstant = random.once(5);
      globals.push(
        this.part(
          `${random.once(3) ? '' : 'static '}${isConstant ? 'const volatile' : 'unsigned'}${isConstant ? ' unsigned' : ''} ${name}${random.once(4) && !isConstant ? '' : ` = ${value}`};`,
        ),
      );
      values.push(name);
      if (isConstant) continue;
      places.push(name);
      resets.push(`${name} = ${value};`);
    }
    if (random.once(2)) {
      const items = Array.from({ length: 8 }, () => constant(random));
      globals.push(this.part(`static const unsigned table[8] = {${items.join(', ')}};`));
      values.push(`table[${random.below(8)}]`, 'table[first.count & 7u]');
    }
    if (random.once(2)) {
      globals.push(
        this.part(
          `static const char text[] = "${random.pick(['hotpatch', 'a longer text for a change', 'x'])}";`,
        ),
      );
      values.push('(unsigned)text[first.count % sizeof(text)]');
    }
    const isReset = random.once(2);
    const functions: CFunction[] = [];
    const callees: { name: string; parameters: number }[] = [];
    const scope = (): Scope => ({ values, places, callees: [...callees] });
    if (isReset)
      functions.push({
        name: 'reset',
        head: `static ${NOINLINE} unsigned reset(void)`,
        statements: resets.map((text) => this.part(text)),
        result: '0u',
      });
    const count = random.between(2, 5);
    for (let index = 0; index < count; index++) {
      const made = this.function(`f${index}`, scope());
      functions.push(made.source);
      callees.push(made.callee);
    }
    const binary = callees.filter(({ parameters }) => parameters === 2);
    if (binary.length > 0 && random.once(2)) {
      const picked = Array.from(
        { length: 4 },
        () => random.pick(binary as [(typeof binary)[0], ...typeof binary]).name,
      );
      // Behind the functions that it names: as the first lines of the first entry's head.
      functions.push({
        name: 'dispatch',
        head: `static operation ${random.once(2) ? 'const ' : ''}operations[4] = {${picked.join(', ')}};\nstatic ${NOINLINE} unsigned dispatch(unsigned a, unsigned b)`,
        statements: [],
        result: 'operations[a & 3u](a, b)',
      });
      callees.push({ name: 'dispatch', parameters: 2 });
    }
    const entries = random.between(1, 2);
    for (let index = 0; index < entries; index++) {
      const made = this.function(`entry${index}`, scope(), `${EXPORT} `);
      const used = [...callees]
        .reverse()
        .slice(0, 3)
        .map((callee) => call(callee, () => random.pick(['a', 'b', 'r', '3u'])));
      functions.push({
        ...made.source,
        head: `${EXPORT} unsigned entry${index}(unsigned a, unsigned b)`,
        statements: [
          ...(isReset ? [this.part('reset();')] : []),
          this.part('unsigned r = a;'),
          ...used.map((text) => this.part(`r = r * 31u + ${text};`)),
          ...made.source.statements,
        ],
        result: `r + ${made.source.result}`,
      });
    }
    const calls = Array.from({ length: 3 }, (_, index) => ({
      function: `entry${index % entries}`,
      arguments: [random.pick([0, 1, 2, 3, 7, 100, 255, 65536]), random.below(1000)],
    }));
    return { program: { globals, functions }, scope: scope(), calls, isReset };
  }

  /** A function of one to three parameters that calls only what is there already, or itself a bounded number of times. */
  function(name: string, scope: Scope, linkage?: string) {
    const { random } = this;
    const parameters = linkage === undefined ? random.between(1, 3) : 2;
    const names = ['a', 'b', 'c'].slice(0, parameters);
    const storage =
      linkage ?? random.pick(['static ', `static ${NOINLINE} `, `static ${NOINLINE} `, `${NOINLINE} `, '']);
    const local: Scope = {
      ...scope,
      values: [...scope.values, ...names, ...names],
      places: [...scope.places, ...names],
    };
    const statements = Array.from({ length: random.between(1, 4) }, () => this.part(this.statement(local)));
    // How often it calls itself is a parameter that nothing else changes: a program that never returns is cut off, and
    // what it has done until then is another thing in a hotpatch than in the fixed build.
    const isRecursive = linkage === undefined && random.once(5);
    const declared = isRecursive ? ['again', ...names] : names;
    if (isRecursive) {
      const self = `${name}(${['(again & 7u) - 1u', ...names].join(', ')})`;
      statements.unshift(
        this.part(`if ((again & 7u) != 0u) return ${expression(random, local, 1)} + ${self};`),
      );
    }
    const head = `${storage}unsigned ${name}(${declared.map((one) => `unsigned ${one}`).join(', ')})`;
    const source: CFunction = { name, head, statements, result: expression(random, local) };
    return { source, callee: { name, parameters: declared.length } };
  }

  /** A statement whose names are those of the scope, and `a`. */
  statement(scope: Scope, depth = 2): string {
    const { random } = this;
    const value = () => expression(random, scope, 2);
    const place = scope.places[random.below(scope.places.length)] ?? 'a';
    const inner = () => this.statement(scope, depth - 1);
    // What is repeated calls nothing: programs end after some thousand instructions.
    const repeated: Scope = { ...scope, callees: [] };
    const simple = () => expression(random, repeated, 2);
    const innerRepeated = () => this.statement(repeated, depth - 1);
    const unique = this.#ids++;
    if (depth === 0) return `${place} = ${value()};`;
    switch (random.below(10)) {
      case 0:
        return `if ${condition(random, scope)} { ${inner()} } else { ${inner()} }`;
      case 1:
        return `for (unsigned i${unique} = 0; i${unique} < ((${simple()}) & 7u); i${unique}++) { ${innerRepeated()} ${place} += i${unique}; }`;
      case 2: {
        const cases = Array.from(
          { length: random.between(2, 7) },
          (_, index) => `case ${index}: ${inner()} break;`,
        );
        return `switch ((${value()}) & 7u) { ${cases.join(' ')} default: ${inner()} }`;
      }
      case 3:
        return `{ static unsigned seen${unique} = ${random.below(4)}; seen${unique}++; ${place} ^= seen${unique}; }`;
      case 4:
        return `for (struct record *p${unique} = &second; p${unique} != 0; p${unique} = p${unique}->next) p${unique}->items[(${simple()}) & 3u] += ${simple()};`;
      case 5:
        return `{ unsigned buffer${unique}[8]; for (unsigned i = 0; i < 8u; i++) buffer${unique}[i] = i * ${simple()}; ${place} = buffer${unique}[(${simple()}) & 7u]; }`;
      case 6:
        return `if ${condition(random, scope)} return ${value()};`;
      default:
        return `${place} ${random.pick(['=', '+=', '^=', '-='])} ${value()};`;
    }
  }
}
