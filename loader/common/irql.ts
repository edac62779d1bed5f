/** Interrupt request levels (wdm.h). The numbers of DIRQL and above differ between processors; these are those of x64. */
export const IRQL = {
  PASSIVE_LEVEL: 0,
  APC_LEVEL: 1,
  DISPATCH_LEVEL: 2,
  IPI_LEVEL: 14,
  HIGH_LEVEL: 15,
} as const;

export function irqlName(irql: number): string {
  return Object.entries(IRQL).find(([, value]) => value === irql)?.[0] ?? `IRQL ${irql}`;
}
