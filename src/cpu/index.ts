export { CpuError, type CpuErrorDetails, type StatusName } from './error.js';
