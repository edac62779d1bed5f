import { IMAGE_SCN } from '../image/index.js';
import type { CodeFunction, Program } from './program.js';

/** Is its section freed when the image has been initialised (INIT of a driver)? */
export function isDiscarded({ image }: Program, { rva }: CodeFunction): boolean {
  const section = image.sectionAt(rva);
  return section !== undefined && (section.characteristics & IMAGE_SCN.MEM_DISCARDABLE) !== 0;
}

/** Dynamic initialisers of C++ by the names that compilers give them. */
const INITIALISER =
  /^(\?\?__[EF]|_GLOBAL__sub_I_|__cxx_global_(var_init|array_dtor)|_{0,2}dynamic_initializer_for)/;

/** Runs once, when the image is loaded, by its name. */
export function isInitialiser({ symbols }: CodeFunction): boolean {
  return symbols.some(({ name, rawName }) => INITIALISER.test(rawName ?? name));
}

const known = new WeakMap<Program, ReadonlyMap<CodeFunction, string>>();

/**
 * Functions that run when the image is loaded, and those that only they lead to: with what starts each. A fix in one of
 * them comes too late for an image that is loaded already.
 */
export function initialCode(program: Program): ReadonlyMap<CodeFunction, string> {
  const found = known.get(program) ?? findInitialCode(program);
  known.set(program, found);
  return found;
}

function findInitialCode(program: Program): Map<CodeFunction, string> {
  const { image } = program;
  const initial = new Map<CodeFunction, string>();
  const start = (rva: number, what: string) => {
    const code = program.functionAt(rva);
    if (code !== undefined && code.rva === rva && !initial.has(code)) initial.set(code, what);
  };
  if (image.optionalHeader.addressOfEntryPoint !== 0)
    start(image.optionalHeader.addressOfEntryPoint, 'the entry point');
  for (const rva of image.tls?.callBacks ?? []) start(rva, 'a callback of thread-local storage');
  for (const code of program.functions) if (isInitialiser(code)) start(code.rva, 'a static initialiser');
  const users = usersOf(program);
  const exported = new Set(image.exports?.functions.map(({ rva }) => rva));
  const work = [...initial.keys()];
  for (let code = work.pop(); code !== undefined; code = work.pop())
    for (const { target } of program.stream(code).references) {
      const callee = program.functionAt(target);
      if (callee === undefined || callee.rva !== target || initial.has(callee) || exported.has(target))
        continue;
      const by = users.get(callee);
      if (by === undefined || !by.every((user) => user !== undefined && initial.has(user))) continue;
      initial.set(callee, `only ${code.name} leads to it`);
      work.push(callee);
    }
  return initial;
}

/** Who refers to each function in code; `undefined` stands for data. */
function usersOf(program: Program): Map<CodeFunction, (CodeFunction | undefined)[]> {
  const users = new Map<CodeFunction, (CodeFunction | undefined)[]>();
  const add = (target: number, by: CodeFunction | undefined) => {
    const code = program.functionAt(target);
    if (code === undefined || code.rva !== target || code === by) return;
    const list = users.get(code);
    if (list === undefined) users.set(code, [by]);
    else list.push(by);
  };
  for (const code of program.functions)
    for (const { target } of program.stream(code).references) add(target, code);
  for (const { rva } of program.image.relocations)
    if (program.functionAt(rva) === undefined) add(program.pointerTarget(rva), undefined);
  return users;
}
