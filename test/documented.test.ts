import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Application, type DeclarationReflection, type Reflection, ReflectionKind } from 'typedoc';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../', import.meta.url));

/** Entry points in which nothing is left without a word. */
const DOCUMENTED = ['lab/index.ts', 'lab/assert.ts', 'lab/vitest.ts', 'image/index.ts'];

/** What typedoc's own check asks for (its option `requiredToBeDocumented`). */
const KINDS =
  ReflectionKind.Variable |
  ReflectionKind.Function |
  ReflectionKind.Class |
  ReflectionKind.Interface |
  ReflectionKind.TypeAlias |
  ReflectionKind.SomeMember;

function* ancestors(reflection: Reflection): Generator<Reflection> {
  for (let parent = reflection.parent; parent !== undefined; parent = parent.parent) yield parent;
}

const OF_ERRORS = ['name', 'message', 'stack', 'cause'];

/**
 * What others say: members of a type without a name are described where it is used, the rows of a table by the table, and
 * what JavaScript defines by JavaScript.
 */
function isSaidElsewhere(reflection: DeclarationReflection): boolean {
  const { parent, name } = reflection;
  if (name.startsWith('[') || (parent?.kindOf(ReflectionKind.Class) && OF_ERRORS.includes(name))) return true;
  const alias = parent?.name === '__type' ? (parent.parent as DeclarationReflection) : undefined;
  if (alias !== undefined && !(alias.kindOf(ReflectionKind.TypeAlias) && alias.type?.type === 'reflection'))
    return true;
  return [...ancestors(reflection)].some((above) =>
    above.kindOf(ReflectionKind.Variable | ReflectionKind.SomeSignature),
  );
}

function isDocumented(reflection: DeclarationReflection): boolean {
  const { signatures = [], getSignature, setSignature, type } = reflection;
  const ofType = type?.type === 'reflection' ? (type.declaration.signatures ?? []) : [];
  return [reflection, getSignature, setSignature, ...signatures, ...ofType].some(
    (said) => said?.hasComment() === true,
  );
}

describe('what users import', () => {
  it.each(DOCUMENTED)('says what each of its exports and their members is (%s)', async (entry) => {
    const app = await Application.bootstrap({
      options: join(root, 'typedoc.json'),
      entryPoints: [join(root, entry)],
      logLevel: 'Error',
    });
    const project = await app.convert();
    const all = project?.getReflectionsByKind(KINDS) as DeclarationReflection[];
    expect(all.length).toBeGreaterThan(3);
    const silent = all.filter((reflection) => !isDocumented(reflection) && !isSaidElsewhere(reflection));
    expect(silent.map((reflection) => reflection.getFullName())).toEqual([]);
  });
});
