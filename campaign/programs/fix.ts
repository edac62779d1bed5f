import { condition, constant, expression, type Scope } from './expression.js';
import type { ProgramMaker } from './generate.js';
import type { CFunction, CProgram, Part } from './program.js';

/** A fix as people write them: a check, another constant, another statement, a new function or variable. */
export function fixProgram(maker: ProgramMaker, program: CProgram, scope: Scope): CProgram {
  const { random } = maker;
  const isFixable = ({ name }: CFunction) => name !== 'reset' && name !== 'dispatch';
  let fixed = program;
  for (let changes = random.pick([1, 1, 1, 2, 3]); changes > 0; changes--) {
    const candidates = fixed.functions.filter(isFixable);
    const chosen = candidates[random.below(candidates.length)];
    if (chosen !== undefined) fixed = fixOne(maker, fixed, chosen, scope);
  }
  return fixed;
}

function fixOne(maker: ProgramMaker, program: CProgram, chosen: CFunction, scope: Scope): CProgram {
  const { random } = maker;
  const position = program.functions.indexOf(chosen);
  const earlier = new Set(program.functions.slice(0, position).map(({ name }) => name));
  const local: Scope = {
    values: [...scope.values, 'a'],
    places: [...scope.places, 'a'],
    callees: scope.callees.filter(({ name }) => earlier.has(name)),
  };
  const at = random.below(chosen.statements.length + 1);
  const replaced = (change: Partial<CFunction>, globals: readonly Part[] = program.globals): CProgram => ({
    globals,
    functions: program.functions.map((one) => (one === chosen ? { ...one, ...change } : one)),
  });
  const inserted = (text: string) => [
    ...chosen.statements.slice(0, at),
    maker.part(text),
    ...chosen.statements.slice(at),
  ];
  switch (random.below(10)) {
    case 0:
      return replaced({ statements: inserted(`if ${condition(random, local)} return ${constant(random)};`) });
    case 1:
      return replaced({ statements: inserted(maker.statement(local)) });
    case 2:
      return replaced({ result: `(${chosen.result}) ${random.pick(['+', '^', '-'])} ${constant(random)}` });
    case 3:
      return replaced({ result: expression(random, local) });
    case 4: {
      const changed = chosen.statements.map((part, index) =>
        index === at ? { ...part, text: otherConstant(part.text, constant(random)) } : part,
      );
      return replaced({ statements: changed });
    }
    case 5: {
      // What begins with a declaration stays: others name it.
      const kept = chosen.statements.filter(
        ({ text }, index) => index !== at || /^unsigned|^reset/.test(text),
      );
      return replaced({ statements: kept });
    }
    case 6: {
      const name = `added${chosen.statements.length}_${position}_${program.globals.length}`;
      const globals = [...program.globals, maker.part(`static unsigned ${name} = ${constant(random)};`)];
      return replaced(
        { statements: inserted(`${name} += ${expression(random, local, 1)}; a ^= ${name};`) },
        globals,
      );
    }
    case 7: {
      const made = maker.function(`helper${position}_${program.functions.length}`, local);
      const [call] = [
        `${made.callee.name}(${Array.from({ length: made.callee.parameters }, () => 'a').join(', ')})`,
      ];
      const after = replaced({ statements: inserted(`a += ${call};`) });
      return {
        globals: after.globals,
        functions: [...after.functions.slice(0, position), made.source, ...after.functions.slice(position)],
      };
    }
    case 8: {
      // A variable or a table begins with another value.
      const index = random.below(program.globals.length);
      const globals = program.globals.map((part, each) =>
        each === index ? { ...part, text: otherConstant(part.text, constant(random)) } : part,
      );
      return { ...program, globals };
    }
    default: {
      const changed = chosen.statements.map((part, index) =>
        index === at && !/^unsigned|^reset/.test(part.text)
          ? maker.part(`if ${condition(random, local)} { ${part.text} }`)
          : part,
      );
      return replaced({ statements: changed });
    }
  }
}

/** The first constant is another one. */
function otherConstant(text: string, constantText: string): string {
  return text.replace(/\b\d+u\b/, constantText);
}
