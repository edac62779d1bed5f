/** 100 ns units from 1601 to the moment at which every machine boots: 1 January 2024, 00:00 UTC. */
export const BOOT_TIME = 133_485_408_000_000_000n;
/** 100 ns units from 1601 to 1970. */
export const UNIX_EPOCH = 116_444_736_000_000_000n;
/** 100 ns units in a second. */
export const SECOND = 10_000_000n;
