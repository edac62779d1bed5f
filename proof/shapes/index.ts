export * from './control-flow.js';
export {
  caller,
  FIRST_INSTRUCTIONS,
  firstInstruction,
  firstInstructionShapes,
} from './first-instructions.js';
export type { FunctionSource, PatchSource, Piece, Placement } from './program.js';
export { type Places, type Shape, shapeSubject } from './shape.js';
export { type Shape2003Options, shape2003Subject } from './shape-2003.js';
