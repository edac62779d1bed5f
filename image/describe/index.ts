export { type DescribeOptions, describeImage, type ImageDescription, type Problem } from './describe.js';
export { type HotPatchDescription, symbolName } from './hotpatch.js';
