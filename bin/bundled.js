/** Commands that never load a file which imports this package: they may run from dist/command, a copy of the library. */
export const BUNDLED = ['inspect', 'check', 'call', 'build', 'verify', 'exports', 'doctor', 'completion'];
