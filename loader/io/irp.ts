import { IO_TYPE, poolTag } from './constants.js';
import { IO_STACK_LOCATION, IRP } from './layouts.js';
import { type Structure, sizeOf } from './structure.js';
import type { IoWorld } from './world.js';

export type IrpObject = Structure<Extract<keyof (typeof IRP)['fields'], string>>;
export type StackLocation = Structure<Extract<keyof (typeof IO_STACK_LOCATION)['fields'], string>>;

const IRP_TAG = poolTag('Irp');
const LARGEST_STACK = 100;

/** An IRP with `stackSize` stack locations (IoAllocateIrp), for the thread whose id is given; undefined when there is no memory. */
export function allocateIrp(world: IoWorld, stackSize: number, thread: number): IrpObject | undefined {
  if (stackSize > LARGEST_STACK) return undefined;
  const locations = stackSize * sizeOf(IO_STACK_LOCATION, world.pointerSize);
  const irp = world.allocate(IRP, IRP_TAG, locations, thread);
  if (irp !== undefined) initializeIrp(world, irp.address, irp.size + locations, stackSize);
  return irp;
}

/** IoInitializeIrp */
export function initializeIrp(world: IoWorld, address: bigint, size: number, stackSize: number): void {
  const irp = world.at(IRP, address);
  world.memory.write(address, new Uint8Array(size));
  irp.set('Type', IO_TYPE.irp);
  irp.set('Size', size);
  irp.set('StackCount', stackSize);
  irp.set('CurrentLocation', stackSize + 1);
  irp.set(
    'Tail.Overlay.CurrentStackLocation',
    address + BigInt(irp.size + stackSize * sizeOf(IO_STACK_LOCATION, world.pointerSize)),
  );
  const list = irp.at('ThreadListEntry');
  for (const at of [list, list + BigInt(world.pointerSize)]) world.memory.writePointer(at, list);
}

export function freeIrp(world: IoWorld, address: bigint): void {
  world.give(address, IRP_TAG);
}

export function irpAt(world: IoWorld, address: bigint): IrpObject {
  return world.at(IRP, address);
}

/** IoGetCurrentIrpStackLocation */
export function currentLocation(world: IoWorld, irp: IrpObject): StackLocation {
  return world.at(IO_STACK_LOCATION, irp.wide('Tail.Overlay.CurrentStackLocation'));
}

/** IoGetNextIrpStackLocation */
export function nextLocation(world: IoWorld, irp: IrpObject): StackLocation {
  const size = sizeOf(IO_STACK_LOCATION, world.pointerSize);
  return world.at(IO_STACK_LOCATION, irp.wide('Tail.Overlay.CurrentStackLocation') - BigInt(size));
}

/** Moves on to the next lower driver's location (IofCallDriver). */
export function enterNextLocation(world: IoWorld, irp: IrpObject): StackLocation {
  const next = nextLocation(world, irp);
  irp.set('CurrentLocation', irp.get('CurrentLocation') - 1);
  irp.set('Tail.Overlay.CurrentStackLocation', next.address);
  return next;
}

/** Is it completed? Its current location is then behind all locations. */
export function isCompleted(irp: IrpObject): boolean {
  return irp.get('CurrentLocation') > irp.get('StackCount') + 1;
}
