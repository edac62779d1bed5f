import { type WrapperName, wrapper } from './wrapper.js';

const [name, ...args] = process.argv.slice(2);
process.exitCode = await wrapper(name as WrapperName, args);
