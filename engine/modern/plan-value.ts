import type { HotPatchRecord, HotPatchType } from '../../image/index.js';
import { hex } from '../../loader/index.js';
import { HotPatchError } from '../core/index.js';
import type { ImageRecord } from './image-record.js';
import type { PlanOptions, ValuePlan } from './plan.js';

interface Context {
  readonly base: ImageRecord;
  readonly patch: ImageRecord;
  readonly options: PlanOptions;
}

/** Plans a backward record that stores a value into the patch image (docs/fidelity.md#application). */
export function planValue(
  type: HotPatchType,
  record: HotPatchRecord,
  place: string,
  { base, patch, options }: Context,
): ValuePlan[] {
  const { image } = patch;
  const { addressSpace, architecture } = image.domain;
  const location = image.address(record.rva);
  const common = { kind: 'value', place, location, symbol: image.describe(location) } as const;
  const target = base.image.address(record.target);
  const width = architecture.pointerSize;
  const pointer = (value: bigint) => littleEndian(BigInt.asUintN(width * 8, value), width);
  switch (type) {
    case 'ABSOLUTE':
      return [{ ...common, target: 'pointer', value: () => pointer(target) }];
    case 'INDIRECT':
      return [{ ...common, target: 'pointer', value: () => addressSpace.read(target, width) }];
    case 'REL32': {
      const distance = target - (location + 4n);
      if (distance !== BigInt.asIntN(32, distance))
        throw new HotPatchError({
          rule: 'record.relativeRange',
          status: 'STATUS_CONFLICTING_ADDRESSES',
          image: image.baseDllName,
          place,
          symbol: common.symbol,
          message: `the target is ${hex(distance)} bytes away, which does not fit into 32 bits`,
        });
      if (options.ignoreRel32) return [];
      return [{ ...common, target: 'relative', value: () => littleEndian(BigInt.asUintN(32, distance), 4) }];
    }
    case 'DYNAMIC_VALUE': {
      if (options.dynamicValues === 'invalid')
        throw new HotPatchError({
          rule: 'record.dynamicValueTable',
          status: 'STATUS_INVALID_PARAMETER_MIX',
          image: image.baseDllName,
          place,
          message: 'the table of dynamic values is -1',
        });
      const { dynamicValues } = options;
      if (dynamicValues?.present[record.target] !== 0xff) return [];
      const value = dynamicValues.values[record.target] ?? 0n;
      const current = () => fromLittleEndian(addressSpace.read(location, width));
      return [{ ...common, target: 'value', value: () => pointer(current() + value) }];
    }
    default:
      return [];
  }
}

function littleEndian(value: bigint, width: 4 | 8): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  return bytes.subarray(0, width);
}

function fromLittleEndian(bytes: Uint8Array): bigint {
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}
