/** The rooms from the ground up. */
export const ROOMS: readonly string[];
