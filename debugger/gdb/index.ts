export { GdbConnection, type GdbInput, type GdbOutput, listenForGdb } from './connection.js';
export { framePacket, type Incoming, PacketReader } from './packets.js';
export { GdbServer } from './server.js';
export { symbolFile } from './symbol-file.js';
export { gdbRegisters, targetDescription } from './target-description.js';
