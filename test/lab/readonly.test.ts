import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), (path) => ts.sys.readFile(path));
const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
const entry = join(root, 'lab/index.ts');
const program = ts.createProgram({
  rootNames: [entry],
  options: { ...options, noEmit: true, skipLibCheck: true },
});
const checker = program.getTypeChecker();

const file = program.getSourceFile(entry);
const module = file && checker.getSymbolAtLocation(file);
const exported = (module === undefined ? [] : checker.getExportsOfModule(module)).map((symbol) =>
  (symbol.flags & ts.SymbolFlags.Alias) === 0 ? symbol : checker.getAliasedSymbol(symbol),
);
const own = exported.flatMap((symbol) => (symbol.declarations ?? []).filter(ts.isClassDeclaration));

/** The classes of the repository that a type speaks of. */
const classesOf = (type: ts.Type): ts.ClassDeclaration[] =>
  (type.isUnion() ? type.types : [type])
    .flatMap(({ symbol }) => symbol?.declarations ?? [])
    .filter(ts.isClassDeclaration)
    .filter((declaration) => !declaration.getSourceFile().isDeclarationFile);

const HIDING = [ts.SyntaxKind.PrivateKeyword, ts.SyntaxKind.ProtectedKeyword];

function isPublic(member: ts.Declaration): boolean {
  const name = ts.getNameOfDeclaration(member);
  if (name !== undefined && ts.isPrivateIdentifier(name)) return false;
  if (ts.getJSDocTags(member).some(({ tagName }) => tagName.text === 'internal')) return false;
  const modifiers = ts.canHaveModifiers(member) ? (ts.getModifiers(member) ?? []) : [];
  return !modifiers.some(({ kind }) => HIDING.includes(kind));
}

const isReadonly = (member: ts.Declaration): boolean =>
  (ts.getCombinedModifierFlags(member) & ts.ModifierFlags.Readonly) !== 0;

/** Lists, maps and sets that whoever holds one can change. */
function isCollection(member: ts.Declaration): boolean {
  const type = checker.getTypeAtLocation(member);
  return type.isUnion()
    ? type.types.some((one) => MUTABLE.includes(one.symbol?.name ?? ''))
    : MUTABLE.includes(type.symbol?.name ?? '');
}
const MUTABLE = ['Array', 'Map', 'Set'];

/** What of a class can be changed from outside: fields, parameters that are fields, setters, and collections. */
function changeable(declaration: ts.ClassDeclaration): string[] {
  const parameters = declaration.members
    .filter(ts.isConstructorDeclaration)
    .flatMap(({ parameters }) =>
      parameters.filter((one) => ts.isParameterPropertyDeclaration(one, one.parent)),
    );
  const fields = [...declaration.members.filter(ts.isPropertyDeclaration), ...parameters].filter(isPublic);
  const setters = declaration.members.filter(ts.isSetAccessorDeclaration).filter(isPublic);
  const getters = declaration.members.filter(ts.isGetAccessorDeclaration).filter(isPublic);
  return [
    ...fields.filter((field) => !isReadonly(field) || isCollection(field)),
    ...getters.filter(isCollection),
    ...setters,
  ].map((member) => `${declaration.name?.text}.${ts.getNameOfDeclaration(member)?.getText()}`);
}

/** Those that the root exports, and those that one is led to by their properties. */
const classes = new Set(own);
for (const { members } of classes)
  for (const member of members)
    if ((ts.isPropertyDeclaration(member) || ts.isGetAccessorDeclaration(member)) && isPublic(member))
      for (const one of classesOf(checker.getTypeAtLocation(member))) classes.add(one);

/** What is for setting: the registers and the mode of a processor, and how often PatchGuard looks. */
const SETTINGS = [
  'PatchGuard.interval',
  'Processor.addressSpace',
  'Processor.vtl',
  'Processor.ring',
  'Processor.pc',
  'Processor.sp',
];

describe('what a scenario is given', () => {
  it('can be looked at, and changes only by what it is asked to do', () => {
    expect(own.length).toBeGreaterThan(25);
    expect(classes.size).toBeGreaterThan(own.length + 20);
    expect([...classes].flatMap(changeable)).toEqual(SETTINGS);
  });
});
