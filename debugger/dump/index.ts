export { type CaptureMoment, captureKernel, captureProcess, type MemoryCapture } from './capture.js';
