export { fixProgram } from './fix.js';
export { type GeneratedProgram, type ProgramCall, ProgramMaker } from './generate.js';
export { type Pair, type PairOutcome, PairTester, pairOf } from './pair.js';
export { type CProgram, changedFunctions, textOfProgram } from './program.js';
export { shrinkPair } from './shrink.js';
